"""Lists the app's backups in the repository."""

from __future__ import annotations

import json
import os
import time

from . import pgbackrest, state
from .branches import Backup
from .repository import Repository
from .settings import Settings
from .shell import say


def tell(settings: Settings, repository: Repository) -> None:
    """Print the base backups, each with the last second that it can bring back, the dumps, and the newest files."""
    wal = state.load(settings).get("wal", {}) if settings.postgres else {}
    bases = pgbackrest.look(settings, f"list-{os.getpid()}").backups if settings.postgres else []
    files = repository.snapshots(kind="files")
    listed = {
        "bases": [described(base, wal) for base in bases],
        "dumps": [snapshot.at for snapshot in repository.snapshots(kind="dump")],
        "files": files[-1].at if files else None,
        "lost_since": wal.get("gaps", []),
        "now": time.time(),
    }
    say(json.dumps(listed))


def described(base: Backup, wal: dict[str, object]) -> dict[str, object]:
    gaps: list[list[float]] = wal.get("gaps", [])  # type: ignore[assignment]
    ends = [begin for begin, _ in gaps if begin >= base.at]
    until = min([*ends, float(wal.get("until", base.at))])  # type: ignore[arg-type]
    return {"id": base.label, "at": base.at, "bytes": base.bytes, "until": max(until, base.at)}
