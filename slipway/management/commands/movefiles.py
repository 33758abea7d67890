"""Moves files from one storage to another."""

import time
from collections.abc import Iterator
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from ...env import SettingsError, env
from ...files.moving import Done, are_one, move, names, storage

EVERY = 1  # second that somebody waits for the next line


class Command(BaseCommand):
    """`manage.py movefiles FROM TO`."""

    help = ("Copies files from one storage to another: database:, a folder's whole path, a name in STORAGES, or a "
            "variable that holds a URL. Run again, it goes on where it was.")

    def add_arguments(self, parser: CommandParser) -> None:
        """Its options."""
        parser.add_argument("source", metavar="FROM")
        parser.add_argument("target", metavar="TO")
        parser.add_argument("--delete", action="store_true", help="delete each at the source once it is there")
        parser.add_argument("--replace", action="store_true", help="replace those that are there with other content")

    def handle(self, source: str, target: str, delete: bool, replace: bool, **_: Any) -> None:
        """Move all, then tell what was done."""
        here, there = self.storage(source), self.storage(target)
        found, done = [*names(here)], Done()
        self.refuse(source, here, target, there)
        for name in self.told(found, done):
            move(here, there, name, done, replace, delete)
        for problem in done.problems:
            self.stderr.write(f"movefiles: {problem}")
        self.stdout.write(f"movefiles: {done.moved} files of {done.size} bytes moved, {done.there} were there already, "
                          f"{len(done.problems)} problems")
        if done.problems:
            raise SystemExit(1)

    def storage(self, word: str) -> Any:
        """The storage of that name. Raises CommandError."""
        try:
            return storage(word, env)
        except ValueError as error:
            raise CommandError(f"{word.partition('://')[0]} {error}") from None
        except SettingsError as error:
            raise CommandError(str(error)) from None

    def refuse(self, source: str, here: Any, target: str, there: Any) -> None:
        """Raise CommandError where the target takes no file, or is the source."""
        try:
            one = source == target or are_one(here, there)
        except Exception as error:  # of any kind of storage
            why = error if isinstance(error, OSError) else type(error).__name__
            raise CommandError(f"{target} takes no files: {why}") from None
        if one:
            raise CommandError(f"{source} and {target} are one storage: from one to another, please")

    def told(self, found: list[str], done: Done) -> Iterator[str]:
        """The names, and from time to time how far it is."""
        last = time.monotonic()
        for number, name in enumerate(found):
            yield name
            if time.monotonic() - last > EVERY:
                last = time.monotonic()
                self.stderr.write(f"movefiles: {number + 1} of {len(found)} files, {done.size} bytes moved")
