"""The file web.plan beside web.sock in /run/APP/a or /run/APP/b. It names the place of uploads, and lists this
release's migrations, with an X if applied; or it is "unknown". A deploy reads it, because starting a container for
this would take longer.

    release build-42
    media local
    lacks column orders_order.note is missing
    [X]  accounts.0001_initial
    [ ]  accounts.0002_phone

gunicorn creates the file empty, and gunicorn's first worker fills it once.
"""

import contextlib
from pathlib import Path

from django.db import connection

from .. import media, readiness
from ..lasting import write_replace
from ..release import RELEASE
from .living import lacking

UNKNOWN = "unknown\n"


def path(over_socket: str) -> Path:
    return Path(over_socket).with_name("web.plan")


def begin(over_socket: str | None) -> None:
    if over_socket:
        with contextlib.suppress(OSError):
            path(over_socket).touch(exist_ok=False)


def plan() -> str:
    """Return the content of web.plan. Raise DatabaseError if the default database does not answer."""
    from django.db.migrations.loader import MigrationLoader
    from django.db.migrations.recorder import MigrationRecorder

    loader = MigrationLoader(connection)
    recorded = MigrationRecorder(connection).applied_migrations()
    applied = loader.applied_migrations
    if any(key in applied and key not in recorded for key in loader.replacements):
        return UNKNOWN
    keys = [key for leaf in loader.graph.leaf_nodes() for key in loader.graph.forwards_plan(leaf)]
    pending = [".".join(key) for key in keys if key not in applied]
    lacks = [f"lacks {ascii(text)[1:-1]}\n" for text in lacking(pending)]
    lines = [f"[{'X' if key in applied else ' '}]  {'.'.join(key)}\n" for key in dict.fromkeys(keys)]
    return f"release {RELEASE}\nmedia {media.place()}\n{''.join([*lacks, *lines])}"


def write_content(over_socket: str | None) -> None:
    """If there is an empty web.plan beside the socket, fill this file."""
    with contextlib.suppress(OSError):  # the disk is full, or another user owns the file
        if over_socket and not path(over_socket).stat().st_size:
            write_replace(path(over_socket), readiness.value("web.plan", f"{__name__}.plan") or UNKNOWN)
