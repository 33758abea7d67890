"""web.plan beside the socket of a slot: the migrations that this release has, and which of them are applied, so that a
deploy starts no container to ask.

    release build-42
    [X]  accounts.0001_initial
    [ ]  accounts.0002_phone

It is empty before the site listens, and written once, by the first worker; `unknown` where the database did not answer,
or where `migrate` has to record a squashed migration, which applies nothing.
"""

import contextlib
from pathlib import Path

from django.conf import settings
from django.db import connection

from .. import readiness
from ..lasting import write_replace

UNKNOWN = "unknown\n"


def path(over_socket: str) -> Path:
    return Path(over_socket).with_name("web.plan")


def begin(over_socket: str | None) -> None:
    """Before it listens: an empty file, unless a container of before has left one."""
    if over_socket:
        with contextlib.suppress(OSError):
            path(over_socket).touch(exist_ok=False)


def plan() -> str:
    """The text, by the default database. Raises DatabaseError."""
    from django.db.migrations.loader import MigrationLoader
    from django.db.migrations.recorder import MigrationRecorder
    loader, recorded = MigrationLoader(connection), MigrationRecorder(connection).applied_migrations()
    applied = loader.applied_migrations
    if any(key in applied and key not in recorded for key in loader.replacements):
        return UNKNOWN
    keys = [key for leaf in loader.graph.leaf_nodes() for key in loader.graph.forwards_plan(leaf)]
    lines = [f"[{'X' if key in applied else ' '}]  {'.'.join(key)}\n" for key in dict.fromkeys(keys)]
    return f"release {settings.RELEASE}\n{''.join(lines)}"


def tell(over_socket: str | None) -> None:
    """Write it, unless that was done before. It waits no longer than for a part of the site."""
    with contextlib.suppress(OSError):  # no room, or not ours to write
        if over_socket and not path(over_socket).stat().st_size:
            write_replace(path(over_socket), readiness.value("web.plan", f"{__name__}.plan") or UNKNOWN)
