"""Lists the app's backups in the repository."""

from __future__ import annotations

import json
import time

from .choice import Choice, Target, newest_wal
from .repository import Repository, Snapshot
from .settings import Settings
from .shell import say


def tell(settings: Settings, repository: Repository) -> None:
    """Print the base backups, each with the last second that it can bring back, the dumps, and the newest files."""
    bases, wals = repository.snapshots(kind="base"), repository.snapshots(kind="wal")
    files = repository.snapshots(kind="files")
    described_bases = [described(base, wals) for base in bases]
    listed = {
        "bases": described_bases,
        "dumps": [snapshot.at for snapshot in repository.snapshots(kind="dump")],
        "files": files[-1].at if files else None,
        "now": time.time(),
    }
    say(json.dumps(listed))


def described(base: Snapshot, wals: list[Snapshot]) -> dict[str, object]:
    until = Choice(base, newest_wal(base, wals), Target()).until
    return {"id": base.id, "at": float(base.tags["at"]), "bytes": int(base.tags["bytes"]), "until": until}
