"""Turns the hosts' answers about backups into problems and lines. Does no I/O."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from .agent.backups import Backups, Run
from .backup.shell import told

DAY = 86400  # seconds
BASE, DRILL = 2 * DAY, 8 * DAY  # seconds after which the newest base backup or dump, or the last drill, is too old
FUTURE = 60  # seconds
MEANING = {
    "base": "base backup",
    "wal": "backup of changes",
    "files": "backup of files",
    "dump": "dump of the database",
    "drill": "drill",
}


def problems(answer: Backups, actions: Sequence[str], oldest: float) -> Iterator[str]:
    """Yield what is wrong on a host that sends backups. `actions`: what its timers do; `oldest`: the seconds after
    which a backup is too old."""
    now, runs = answer["now"], answer["runs"]
    yield from (f"backup: {action}: {run['problem']}" for action, run in runs.items() if run["problem"])
    yield from interrupted(runs)
    for action in actions:
        if action in answer["stopped"]:
            yield f"backup: the timer of {action} does not run: slipway provision"
        run = runs.get(action)
        age = age_of(action, run, now)
        limit = {"base": BASE, "dump": BASE, "drill": DRILL}.get(action, oldest)
        if age is None and not (run and run["problem"]):
            yield f"backup: there is no {MEANING[action]} yet" + (": slipway drill" if action == "drill" else "")
        elif age is not None and age > limit:
            yield f"backup: the newest {MEANING[action]} is {duration(age)} old"
        elif age is not None and age < -FUTURE:  # it would look fresh for so long
            yield f"backup: the newest {MEANING[action]} is {duration(-age)} in the future: this host's clock was off"


def interrupted(runs: Mapping[str, Run]) -> Iterator[str]:
    """Yield what was killed, and since when changes are lost."""
    for action, run in runs.items():
        if killed := run.get("killed"):
            yield f"backup: the {MEANING.get(action, action)} that began at {told(killed)} was killed"
        if since := run.get("since"):
            yield f"backup: no second after {told(since)} can be restored yet"


def age_of(action: str, run: Run | None, now: float) -> float | None:
    """Return the seconds since the action's last success, None if there was none. WAL: since what it brings back."""
    at = run and (run.get("until") if action == "wal" else run.get("at"))
    return None if not at else now - at


def newest(answer: Backups) -> float | None:
    """Return up to when the newest backup brings changes or files back, None if there is none."""
    runs = answer["runs"]
    ages = [age_of(action, runs.get(action), answer["now"]) for action in ("wal", "files")]
    return next((answer["now"] - age for age in ages if age is not None), None)


def line(answer: Backups) -> str:
    """Return such as "backup 3 min old, drilled Sun 04:00: 1,204,331 rows, back in 41 s"."""
    at = newest(answer)
    parts = [] if at is None else [f"backup {duration(answer['now'] - at)} old"]
    drill = answer["runs"].get("drill")
    if drill and drill.get("at"):
        when = f"{datetime.fromtimestamp(drill['at']):%a %H:%M}"
        parts.append(f"drilled {when}: {drill.get('rows', 0):,} rows, back in {drill.get('restored', 0):.0f} s")
    return ", ".join(parts)


def note(answer: Backups) -> str:
    """Return what the team should do, or ""."""
    if answer["password_kept"]:
        return ""
    return "the password of the backups is on this host alone: keep it elsewhere, by slipway backup --password"


def duration(seconds: float) -> str:
    """Return a time such as "41 s", "3 min", "5 h" or "2 days"."""
    for unit, length in (("days", DAY), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or (length < DAY and seconds >= length):
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"
