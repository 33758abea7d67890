"""Restores the database beside the living one, then puts it in its place; lists what can be restored."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import time
from typing import Any

from slipway.lasting.files import write_replace

from . import archive, branches, pgbackrest, points, postgres, shell, state
from .branches import Backup, Choice, Event, Target
from .copy import XMAX, Copy
from .pgbackrest import Seen
from .postgres import Position
from .repository import Repository
from .settings import Settings
from .shell import Problem, say

ACTION = "restored"
PATIENCE = 30  # seconds for the place during a swap, while visitors wait
ANSWER = 60  # seconds for the database to answer after the swap
HISTORY = "SELECT pg_read_file('pg_wal/{:08X}.history', true)"


def copy(settings: Settings) -> Copy:
    return Copy(settings, ACTION)


def beside(settings: Settings, repository: Repository, at: str) -> None:
    """Restore `at` (see `chosen`) into a second container, with the newest changes if the living database answers."""
    check_no_swap(settings)
    with contextlib.suppress(Problem):
        points.bring(settings, repository)
    copy(settings).make(chosen(settings, ACTION, at, shipped(settings, repository, ACTION)))


def shipped(settings: Settings, repository: Repository, action: str, patience: int = archive.ARRIVE) -> Position | None:
    """Send what the living database has now. Return up to where, None if it is dead, or the place does not take it."""
    with contextlib.suppress(Problem):
        return archive.ship(settings, repository, patience, action)
    return None


def chosen(settings: Settings, action: str, at: str, now: Position | None) -> Choice:
    """Return what brings back `at`: "latest", "@" and seconds, a release's tag, or "before:" and its tag. `now`: up to
    where all that the living database has was sent."""
    seen = pgbackrest.look(settings, action)
    target = aimed(settings, at, now, seen)
    base = branches.base_for(target, seen.backups, seen.histories)
    sizes = branches.between(base.first, target.timeline, seen.files)
    own = [each for each in branches.segments(seen.files) if int(each[:8], 16) == target.timeline]
    end = max(map(branches.number, own), default=0) * branches.BYTES
    known = old_volume(settings, seen.system) if target.is_latest else ""
    return Choice(base, target, end, sum(sizes), len(sizes), known)


def aimed(settings: Settings, at: str, now: Position | None, seen: Seen) -> Target:
    """Return where a restore of `at` ends, and on which branch."""
    if at == "latest" and now:
        return Target(now.timeline, lsn=now.lsn)
    known = points.load(settings)
    is_time = re.fullmatch(r"@\d+(\.\d+)?", at)
    if at != "latest" and not is_time:
        point = points.named(known, at)
        return Target(point.timeline, lsn=point.lsn)
    moment = float(at[1:]) if is_time else math.inf
    if is_time and moment > time.time():
        raise Problem("that time is in the future")
    swaps = [Event(point.at, point.timeline) for point in known if point.kind == "swap"]
    of_archive = [Event(seen.files[f"{timeline:08X}.history"]["time"], timeline) for timeline in seen.histories]
    timeline = branches.living(moment, branches.events(swaps, of_archive), seen.histories)
    return Target(timeline, at=moment if is_time else None)


def old_volume(settings: Settings, system: str) -> str:
    """Return the dead database's volume if it is the one that the backups are of, else ""."""
    volume = settings.image["DATA"]
    if shell.is_running(settings.service):
        return ""
    with contextlib.suppress(Problem):
        if re.search(rf"^Database system identifier:\s+{system}$", copy(settings).control(volume), re.MULTILINE):
            return volume
    return ""


# ---- what has been restored ----


def tell(settings: Settings, repository: Repository) -> None:
    """Print what has been restored, as JSON, with the number of transactions that a swap would lose, and the tag of the
    last release that was committed until then."""
    made = read(settings)
    known = points.load(settings)
    tags = [point.tag for point in known if point.kind == "commit" and point.at <= made["newest"] + 1]
    say(json.dumps({**made, "lost": lost(settings, made), "release": (tags or [""])[-1], "now": time.time()}))


def read(settings: Settings) -> dict[str, Any]:
    """Return what has been restored. Raise Problem if nothing is there, or if that was interrupted."""
    made = copy(settings).read()
    if "rows" not in made:
        raise Problem("nothing has been restored: run slipway restore --at TIME")
    return made


def lost(settings: Settings, made: dict[str, Any]) -> int | None:
    """Return how many transactions the living database has made since, or since both branches parted; None if one of
    both does not answer, such as after a swap that was interrupted."""
    try:
        living = postgres.position(settings)
        way = [*branches.ancestors(postgres.sql(settings, HISTORY.format(living.timeline))), living.timeline]
        of_copy = [*branches.ancestors(copy(settings).sql(HISTORY.format(made["timeline"]))), made["timeline"]]
        restored = int(copy(settings).sql(XMAX))
    except Problem:
        return None
    parted = [timeline for timeline in way if timeline not in of_copy][:1]
    forks = [point.xmax for point in points.load(settings) if point.kind == "swap" and point.timeline in parted]
    return max(0, living.xmax - min([restored, *filter(None, forks)]))


def check_no_swap(settings: Settings) -> None:
    """Raise Problem if a swap was interrupted when the service restarted. With its next start it has the restored
    volume, so that what it is given until then would be lost, and nobody would know why."""
    made = copy(settings).read()
    if made.get("old") and made["volume"] == settings.image["DATA"]:
        raise Problem("a swap was interrupted: let it end by slipway restore --swap")


def discard(settings: Settings, repository: Repository) -> None:
    """Remove what has been restored. If a swap has begun a timeline with it, that has an end now: the living one goes
    on."""
    check_no_swap(settings)
    begun = copy(settings).read().get("old")
    copy(settings).remove()
    if begun:
        points.add(settings, repository, "swap")


# ---- in place of the living one ----


def swap(settings: Settings, repository: Repository) -> None:
    """Let the service run on the restored volume. The old one stays, and its name is printed. After an interruption,
    another swap goes on."""
    restored, made = copy(settings), read(settings)
    old = made["old"] = made.get("old") or settings.image["DATA"]
    restored.note(made)
    if not made.get("promoted"):
        try:
            restored.promote(made["volume"])
        except Problem as problem:
            raise Problem(f"{problem}; so the old one serves on") from None
        made["promoted"] = True
    # Send all that the living one has, so that the branch that ends can be restored to its end.
    if not shipped(settings, repository, ACTION, PATIENCE):
        made.setdefault("unsent", state.of(settings, archive.ACTION).get("until", time.time()))
    restored.note(made)
    restored.stop()
    use(settings, made["volume"])
    if not answers(settings):
        use(settings, old)
        made.pop("unsent", None)  # the old one goes on, and sends it
        restored.note({**made, "old": ""})
        if answers(settings):
            points.add(settings, repository, "swap")
        cause = f"journalctl -t {settings.service}"
        raise Problem(f"the restored database did not start, so the old one serves on: {cause}")
    begun = points.add(settings, repository, "swap")
    if "unsent" in made:
        archive.note_end(settings, made["unsent"], begun.at)
    archive.begin_base(settings)
    with contextlib.suppress(Problem):
        points.send(settings, repository)
    restored.file.unlink()
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


# ---- what can be restored ----


def offer(settings: Settings, repository: Repository) -> None:
    """Print what the place has, as JSON: base backups, each with the last second that it can bring back, dumps, and the
    newest files."""
    wal = state.of(settings, archive.ACTION) if settings.postgres else {}
    bases = pgbackrest.look(settings, f"list-{os.getpid()}").backups if settings.postgres else []
    offered = {
        "bases": [described(base, wal) for base in bases],
        "dumps": [snapshot.at for snapshot in repository.snapshots("dump")],
        "files": max((snapshot.at for snapshot in repository.snapshots("files")), default=None),
        "lost_since": wal.get("gaps", []),
        "now": time.time(),
    }
    say(json.dumps(offered))


def described(base: Backup, wal: dict[str, Any]) -> dict[str, object]:
    ends = [begin for begin, _ in wal.get("gaps", []) if begin >= base.at]
    until = min([*ends, wal.get("until", base.at)])
    return {"id": base.label, "at": base.at, "bytes": base.bytes, "until": max(until, base.at)}
