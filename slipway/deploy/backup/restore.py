"""Restores the database beside the living one, and swaps both on request. Until then the living one serves on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from subprocess import CompletedProcess
from typing import Any

from slipway.lasting.files import write_replace

from . import points, postgres, set_up, shell, wal
from .choice import Choice, Target, choose
from .copy import XMAX, Copy
from .repository import Repository, Snapshot
from .settings import Settings
from .shell import Problem, say

ANSWER = 60  # seconds for the database to answer after the swap


def copy(settings: Settings) -> Copy:
    return Copy(settings, "restored")


def beside(settings: Settings, repository: Repository, at: str) -> None:
    """Restore `at` (see `chosen`) into a second container, with the newest changes if the living database answers."""
    with contextlib.suppress(Problem):
        wal.ship(settings, repository)
    copy(settings).make(repository, chosen(settings, repository, at))


def chosen(settings: Settings, repository: Repository, at: str) -> Choice:
    """Return what brings back `at`: "latest", seconds, a release's tag, or "before:" and its tag."""
    wals, bases = repository.snapshots(kind="wal"), repository.snapshots(kind="base")
    if not os.path.exists(points.path(settings)):  # a new host
        bring_points(settings, repository, choose(bases, wals, Target()).wal)
    if at == "latest":
        target = Target()
    elif re.fullmatch(r"\d{9,}(\.\d+)?", at):
        target = Target(at=float(at))
    else:
        target = Target(point=points.named(points.load(settings), at))
    return choose(bases, wals, target)


def is_known(done: CompletedProcess[str]) -> bool:
    """Return True if restic has printed the points, or if there are none yet."""
    return not done.returncode or "not found in snapshot" in done.stderr


def bring_points(settings: Settings, repository: Repository, wal: Snapshot | None) -> None:
    """Bring the points of the newest WAL here, if any was sent."""
    if wal:
        text = repository.call("dump", wal.id, f"/{points.NAME}", fine=is_known)
        write_replace(points.path(settings), text, 0o600)


def tell(settings: Settings, repository: Repository) -> None:
    """Print what has been restored, as JSON, with the number of transactions that a swap would lose."""
    made = read(settings)
    say(json.dumps({**made, "lost": lost(settings), "release": release(settings, made["newest"]), "now": time.time()}))


def read(settings: Settings) -> dict[str, Any]:
    """Return what has been restored. Raise Problem if nothing is there, or if that was interrupted."""
    made = copy(settings).read()
    if "rows" not in made:
        raise Problem("nothing has been restored: run slipway restore --at TIME")
    return made


def lost(settings: Settings) -> int | None:
    """Return how many transactions the living database has made since; None if one of both does not answer, such as
    after a swap that was interrupted."""
    try:
        living, restored = int(postgres.sql(settings, XMAX)), int(copy(settings).sql(XMAX))
    except Problem:
        return None
    return max(0, living - restored)


def release(settings: Settings, newest: float) -> str:
    """Return the tag of the last release that was committed until then, or ""."""
    tags = [point.tag for point in points.load(settings) if point.kind == "commit" and point.at <= newest + 1]
    return tags[-1] if tags else ""


def discard(settings: Settings, repository: Repository) -> None:
    copy(settings).remove()


# ---- the swap ----


def swap(settings: Settings, repository: Repository) -> None:
    """Let the service run on the restored volume. The old one stays, and its name is printed. After an interruption,
    another swap goes on."""
    restored, made = copy(settings), read(settings)
    old = made.get("old") or settings.image["DATA"]
    restored.note({**made, "old": old})
    restored.stop()
    wal.stop_receiving(settings)
    use(settings, made["volume"])
    if not answers(settings):
        use(settings, old)
        restored.note({**made, "old": ""})
        wal.start_receiving(settings)
        raise Problem(
            f"the restored database did not start, so the old one serves on: journalctl -t {settings.service}"
        )
    begin_anew(settings)
    restored.forget()
    say(f"the data of before are in the volume {old}: once nobody needs them, run docker volume rm {old}")


def use(settings: Settings, volume: str) -> None:
    """Restart the service with another volume."""
    file = f"{settings.etc}/{settings.service}.image"
    values = {**shell.assignments(file), "DATA": volume}
    write_replace(file, "".join(f"{name}={value}\n" for name, value in values.items()), 0o644)
    shell.output(["systemctl", "restart", f"docker-service@{settings.service}.service"], seconds=180)


def answers(settings: Settings) -> bool:
    until = time.monotonic() + ANSWER
    while time.monotonic() < until:
        with contextlib.suppress(Problem):
            return bool(postgres.sql(settings, "SELECT 1"))
        time.sleep(0.2)
    return False


def begin_anew(settings: Settings) -> None:
    """A restored database has a timeline of its own, no slot, and old passwords: begin with a base backup of it."""
    wal.let_go(settings)
    set_up.make_role(settings)
    wal.receive(settings)
    wal.begin_base(settings)
