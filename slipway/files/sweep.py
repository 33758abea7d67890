"""Files that no FileField refers to any more."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from functools import reduce
from itertools import chain, islice
from operator import or_
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
    old = Blob.objects.using(using).filter(modified__lt=before)
    for blob in chain(unnamed(old), unreferred(old if everything else old.filter(owned=True), using)):
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


def unnamed(old: models.QuerySet[Blob]) -> Iterator[Blob]:
    """What writing has left, so many at a time: no query is open meanwhile."""
    last = 0
    while blobs := [*old.filter(name=None, pk__gt=last).order_by("pk")[:AT_ONCE]]:
        yield from blobs
        last = blobs[-1].pk


def unreferred(old: models.QuerySet[Blob], using: str) -> Iterator[Blob]:
    """The files that no FileField refers to. Those of fields are marked as such before."""
    found = references()
    here = [names for names in found if names.db == using]
    Blob.objects.using(using).filter(owned=False).filter(any_of(here)).update(owned=True)
    there = {pk for names in found if names.db != using for pk in of_another(names, using)}
    for blob in without(old, here):
        if blob.pk not in there and not kept(blob):
            yield blob


def any_of(here: list[models.QuerySet[Any]]) -> models.Q:
    """Whose name one of these has. An index finds each name, whatever the fields have."""
    return reduce(or_, (models.Q(name__in=names) for names in here), models.Q(pk__in=()))


def of_another(names: models.QuerySet[Any], using: str) -> Iterator[int]:
    """The keys of the files that another database refers to; they are marked, too. Its rows are read once."""
    rows = names.iterator()
    while some := [*islice(rows, AT_ONCE)]:
        blobs = Blob.objects.using(using).filter(name__in={*some})
        blobs.filter(owned=False).update(owned=True)
        yield from blobs.values_list("pk", flat=True)


def without(old: models.QuerySet[Blob], here: list[models.QuerySet[Any]]) -> Iterator[Blob]:
    """The files whose names none of these has, so many at a time. The database compares: no field needs an index."""
    last = ""
    while names := [*old.filter(name__gt=last).order_by().values_list("name", flat=True)
                    .difference(*here).order_by("name")[:AT_ONCE]]:
        yield from [*old.filter(name__in=names).order_by("name")]
        last = names[-1]


def references() -> list[models.QuerySet[Any]]:
    """The names that rows have, also rows which a model's own managers hide: for each field, and each database that may
    have rows of it."""
    tables = {alias: {*connections[alias].introspection.table_names(include_views=True)} for alias in connections}
    return [models.QuerySet(model, using=alias).order_by().values_list(field.attname, flat=True)
            for model, field in file_fields() for alias in places(model, tables)]


def file_fields() -> list[tuple[type[models.Model], models.FileField]]:
    """All whose files are in the database."""
    return [(model, field) for model in apps.get_models(include_auto_created=True)
            for field in model._meta.local_fields
            if isinstance(field, models.FileField) and isinstance(field.storage, DatabaseStorage)]


def places(model: type[models.Model], tables: dict[str, set[str]]) -> set[str]:
    """The databases that may have rows of a model: where it is written to, and all others that have its table."""
    others = {alias for alias, names in tables.items()
              if model._meta.db_table in names and router.allow_migrate_model(alias, model)}
    return {router.db_for_write(model), *others}


def kept(blob: Blob) -> bool:
    """Whether the project says that it is referred to elsewhere."""
    return (blob.name or "").startswith(tuple(getattr(settings, "STORAGE_KEEP", ())) or ("\0",))
