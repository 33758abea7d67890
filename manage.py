#!/usr/bin/env python3
"""Django's command line: `./manage.py …` works from any folder."""

from slipway.manage import main

if __name__ == "__main__":
    main("project")  # the package that holds the settings; make reads its name here
