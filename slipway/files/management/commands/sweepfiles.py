"""Deletes the files that nobody refers to any more, as the task does."""

from typing import Any

from django.core.management import BaseCommand, CommandParser

from ...sweep import sweep


class Command(BaseCommand):
    """`manage.py sweepfiles`."""

    help = "Deletes files in the database that no FileField refers to any more, and that are older than a day."

    def add_arguments(self, parser: CommandParser) -> None:
        """Its options."""
        parser.add_argument("--dry-run", action="store_true", help="only name them")
        parser.add_argument("--all", action="store_true", help="also those that no FileField ever referred to")

    def handle(self, dry_run: bool, all: bool, **_: Any) -> None:
        """Name each."""
        for blob in sweep(all, dry_run):
            self.stdout.write(f"{blob}")
