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
        """Name each, and say how many there were."""
        count = size = 0
        for blob in sweep(all, dry_run):
            count, size = count + 1, size + blob.size
            self.stdout.write(f"{blob}")
        self.stdout.write(f"sweepfiles: {count} files of {size} bytes{' would be' * dry_run} deleted")
