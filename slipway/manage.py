"""Django's command line, which reports known errors without a traceback."""

import os
import sys

from django.core.management import CommandError, execute_from_command_line
from django.db import DatabaseError

from .env import SettingsError


def main(project: str) -> None:
    test = sys.argv[1:2] == ["test"]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", project + (".settings_test" if test else ".settings"))
    try:
        execute_from_command_line(sys.argv)
    except SettingsError as error:
        error.leave()
    except ModuleNotFoundError as error:
        settings = os.environ["DJANGO_SETTINGS_MODULE"]
        if not f"{settings}.".startswith(f"{error.name}.") or settings.startswith(project + "."):
            raise
        sys.exit(f"manage.py: DJANGO_SETTINGS_MODULE is {settings}, which this project does not have: unset it")
    except DatabaseError:
        from .schema import database
        try:
            database.explain(migrating=sys.argv[1:2] == ["migrate"])
        except CommandError as error:  # the cause is known: print one line
            sys.exit("manage.py: {}".format(error))
        raise
