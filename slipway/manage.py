"""Django's command line, which reports known errors without a traceback."""

import os
import sys

from django.core.management import BaseCommand, CommandError, ManagementUtility
from django.db import DatabaseError

from .env import SettingsError

NO_COMMAND = 127  # as a shell exits. With it, a command by the clock waits for a release that has the command.


class Commands(ManagementUtility):
    """Django's commands, with one line for a command that does not exist."""

    def fetch_command(self, subcommand: str) -> BaseCommand:
        try:
            return super().fetch_command(subcommand)
        except SystemExit:  # Django has named the unknown command, and perhaps the one that was meant
            sys.exit(NO_COMMAND)


def main(project: str) -> None:
    test = sys.argv[1:2] == ["test"]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", project + (".settings_test" if test else ".settings"))
    try:
        Commands(sys.argv).execute()
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
            sys.exit(f"manage.py: {error}")
        raise
