"""Files that no FileField refers to any more."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connections, models, router
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from .content import remove
from .models import Blob
from .storage import DatabaseStorage

AGE = timedelta(days=1)  # who saves a file may take so long to refer to it
AT_ONCE = 1000  # files

logger = logging.getLogger(__name__)


def sweep(everything: bool = False, dry_run: bool = False) -> Iterator[Blob]:
    """Delete them, one by one as they are yielded: those that a FileField had, or all. What writing has left goes, too.
    None after a rollback: the release that was taken back may have fields that this one does not know."""
    if unknown := sorted(unknown_migrations()):
        logger.warning("no file is deleted: this release does not know all migrations of django_migrations, so it may "
                       "not know all fields that refer to files: %s", ", ".join(unknown))
        return
    using, before = router.db_for_write(Blob), timezone.now() - AGE
    old = Blob.objects.using(using).filter(modified__lt=before).order_by("pk")
    for blobs in batches(old):
        used = in_use([blob.name for blob in blobs if blob.name], using)
        for blob in blobs:
            if blob.name in used or not (everything or blob.owned or blob.name is None) or kept(blob):
                continue
            if not dry_run:
                remove(blob, using)
            yield blob


def unknown_migrations() -> set[str]:
    """Those that are applied in one of the databases and that this release does not have."""
    disk = MigrationLoader(None, load=False)
    disk.load_disk()
    known = {*disk.disk_migrations, *(key for each in disk.disk_migrations.values() for key in each.replaces)}
    return {".".join(key) for alias in connections
            for key in MigrationRecorder(connections[alias]).applied_migrations() if key not in known}


def batches(found: models.QuerySet[Blob]) -> Iterator[list[Blob]]:
    """So many at a time, by what the last one was: no query is open meanwhile."""
    last = 0
    while blobs := list(islice(found.filter(pk__gt=last), AT_ONCE)):
        yield blobs
        last = blobs[-1].pk


def in_use(names: list[str], using: str) -> set[str]:
    """Those of the names that a FileField refers to; they are kept in mind as such."""
    used = {name for model, field in file_fields() for alias in places(model)
            for name in referred(model, field, names, alias)}
    Blob.objects.using(using).filter(name__in=used, owned=False).update(owned=True)
    return used


def file_fields() -> list[tuple[type[models.Model], models.FileField]]:
    """All whose files are in the database."""
    return [(model, field) for model in apps.get_models(include_auto_created=True)
            for field in model._meta.local_fields
            if isinstance(field, models.FileField) and isinstance(field.storage, DatabaseStorage)]


def places(model: type[models.Model]) -> set[str]:
    """The databases that may have rows of a model: where it is written to, and all others that have its table."""
    others = {alias for alias in connections if router.allow_migrate_model(alias, model)
              and model._meta.db_table in connections[alias].introspection.table_names(include_views=True)}
    return {router.db_for_write(model), *others}


def referred(model: type[models.Model], field: models.FileField, names: list[str], using: str) -> set[Any]:
    """Those of the names that rows have, also rows which the model's own managers hide."""
    rows: models.QuerySet[Any] = models.QuerySet(model, using=using)
    return set(rows.filter(**{f"{field.attname}__in": names}).values_list(field.attname, flat=True).distinct())


def kept(blob: Blob) -> bool:
    """Whether the project says that it is referred to elsewhere."""
    return (blob.name or "").startswith(tuple(getattr(settings, "STORAGE_KEEP", ())) or ("\0",))
