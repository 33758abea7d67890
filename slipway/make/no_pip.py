#!/usr/bin/env python3
"""The module and the program `pip` of a virtualenv that make has made."""

import sys

if __name__ == "__main__":
    wanted = " ".join(word for word in sys.argv[2:] if not word.startswith("-")) or "what you need"
    sys.exit("pip: make installs only pinned packages here: add {} to requirements.in, then make requirements, "
             "then repeat your make command".format(wanted))
raise ImportError("there is no pip in this virtualenv, see docs/make.md")
