"""Deletes files that no FileField refers to any more. The task does the same."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import BaseCommand, CommandParser
from django.db import connections, models, router
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from ...models import Blob
from ...storage import DatabaseStorage, remove

AGE = timedelta(days=1)  # who saves a file may take so long to refer to it
logger = logging.getLogger("slipway.files.sweep")


class Command(BaseCommand):
    help = "Deletes files in the database that no FileField refers to any more, and that are older than a day."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only name them")
        parser.add_argument("--all", action="store_true", help="also those that no FileField ever referred to")

    def handle(self, dry_run: bool, all: bool, **_: Any) -> None:
        for blob in unused(all):
            if not dry_run:
                remove(blob, router.db_for_write(Blob))
            self.stdout.write(f"{blob}")


def unused(everything: bool) -> Iterator[Blob]:
    """The old files that a FileField had, or all, and what writing has left. None after a rollback: the release that
    was taken back may have fields that this one does not know."""
    if unknown := sorted(unknown_migrations()):
        logger.warning("no file is deleted: this release does not know all migrations of django_migrations, so it may "
                       "not know all fields that refer to files: %s", ", ".join(unknown))
        return
    blobs, before, names = Blob.objects.using(router.db_for_write(Blob)), timezone.now() - AGE, {*references()}
    for pk, name in [*blobs.filter(owned=False).values_list("pk", "name")]:
        if name in names:
            blobs.filter(pk=pk).update(owned=True)
    keep = tuple(getattr(settings, "STORAGE_KEEP", ()))
    old = blobs.filter(modified__lt=before).order_by("name")
    for blob in [*(old if everything else old.filter(models.Q(owned=True) | models.Q(name=None)))]:
        if blob.name not in names and not (blob.name or "").startswith(keep or "\0"):
            yield blob


def unknown_migrations() -> set[str]:
    """Those that are applied in one of the databases and that this release does not have."""
    disk = MigrationLoader(None, load=False)
    disk.load_disk()
    known = {*disk.disk_migrations, *(key for each in disk.disk_migrations.values() for key in each.replaces)}
    return {".".join(key) for alias in connections
            for key in MigrationRecorder(connections[alias]).applied_migrations() if key not in known}


def references() -> Iterator[str]:
    """The names that rows of any database have, also rows which a model's own managers hide."""
    tables = {alias: {*connections[alias].introspection.table_names(include_views=True)} for alias in connections}
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_fields:
            if isinstance(field, models.FileField) and isinstance(field.storage, DatabaseStorage):
                for alias in (alias for alias, names in tables.items() if model._meta.db_table in names):
                    yield from models.QuerySet(model, using=alias).values_list(field.attname, flat=True).iterator()
