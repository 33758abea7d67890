"""What the repository has of the app."""

from __future__ import annotations

import json
import time

from .repository import Repository, Snapshot
from .settings import Settings
from .shell import say


def tell(settings: Settings, repository: Repository) -> None:
    """Print the base backups, each with the last second that it can bring back, and the newest files."""
    bases, wals = repository.snapshots(kind="base"), repository.snapshots(kind="wal")
    files = repository.snapshots(kind="files")
    say(
        json.dumps(
            {
                "bases": [described(base, wals) for base in bases],
                "files": files[-1].at if files else None,
                "now": time.time(),
            }
        )
    )


def described(base: Snapshot, wals: list[Snapshot]) -> dict[str, object]:
    until = [float(wal.tags["until"]) for wal in wals if wal.tags["base"] == base.tags["base"]]
    at = float(base.tags["at"])
    return {"id": base.id, "at": at, "bytes": int(base.tags["bytes"]), "until": max([at, *until])}
