"""What manage.py does: Django's command line, in the project's own virtualenv, with errors of one line."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


def own_python() -> "Path | None":
    """The virtualenv's python or None: the one make names in VE, the image's, or the one make puts beside this file."""
    folders = [HERE / os.environ["VE"]] if os.environ.get("VE") else [Path("/ve"), HERE / "ve"]
    return next((folder / "bin/python" for folder in folders if (folder / "bin/python").exists()), None)


def enter_virtualenv() -> None:
    """Run again in the virtualenv, unless this is it; exit with one line where there is none."""
    python = own_python()
    if python is None:
        sys.exit("manage.py: there is no virtualenv yet: run make in {}".format(HERE))
    # Two ways to be there already: a prefix may be spelled otherwise, and a broken virtualenv has another one.
    if sys.executable != str(python) and not os.path.samefile(sys.prefix, str(python.parent.parent)):
        os.execv(str(python), [str(python), str(HERE / "manage.py")] + sys.argv[1:])


def main(project: str) -> None:
    """Run the command line's command with the settings of the package `project`."""
    enter_virtualenv()
    try:
        from django.core.management import CommandError, execute_from_command_line
        from django.db import DatabaseError

        from slipway.env import SettingsError
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "django":
            raise
        sys.exit("manage.py: the virtualenv is not complete: run make in {}".format(HERE))

    test = sys.argv[1:2] == ["test"]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", project + (".settings_test" if test else ".settings"))
    try:
        execute_from_command_line(sys.argv)
    except SettingsError as error:
        error.leave()
    except DatabaseError:
        from slipway.schema import database
        try:
            database.explain(migrating=sys.argv[1:2] == ["migrate"])
        except CommandError as error:  # one line, where it is plain why
            sys.exit("manage.py: {}".format(error))
        raise
