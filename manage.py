#!/usr/bin/env python3
"""Django's command line, in the project's own virtualenv: `./manage.py …` works from any folder."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def own_python():
    """The virtualenv's python: the image's where there is one, else the one make installs beside this file."""
    return next((path for path in (Path("/ve/bin/python"), HERE / "ve/bin/python") if path.exists()), None)


def main():
    python = own_python()
    if python is None:
        sys.exit("manage.py: there is no virtualenv yet: run make in {}".format(HERE))
    if Path(sys.prefix) != python.parent.parent:
        os.execv(str(python), [str(python), str(HERE / "manage.py")] + sys.argv[1:])

    test = sys.argv[1:2] == ["test"]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings_test" if test else "project.settings")
    from django.core.management import execute_from_command_line

    from project.ops.env import SettingsError
    try:
        execute_from_command_line(sys.argv)
    except SettingsError as error:
        sys.exit(error.report())


if __name__ == "__main__":
    main()
