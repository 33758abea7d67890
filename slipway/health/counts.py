"""Counts of what ended, and how: a row of the database for each kind has those of all releases, and of the newest."""

from functools import partial

from django.db import transaction

from ..models import Count
from ..release import RELEASE

Found = dict[str, list[float]]  # "NAME STATE" → [number, seconds in all]
TASKS, RUNS = "tasks", "runs"  # kinds: Celery's tasks; runs of commands by the clock
KEPT = 5  # releases that counted last


def plus(one: Found, other: Found) -> Found:
    return {key: [sum(both) for both in zip(one.get(key, (0, 0)), other.get(key, (0, 0)))] for key in one | other}


def add(kind: str, found: Found) -> None:
    """Add to the counts. Raise DatabaseError or InterfaceError if the database fails."""
    with transaction.atomic():
        row, _ = Count.objects.select_for_update().get_or_create(kind=kind, defaults={"found": []})
        before = dict(row.found)
        now = {release: plus(before.pop(release, {}), found) for release in ("", RELEASE)}
        row.found = [*now.items(), *before.items()][:KEPT + 1]
        row.save()


def run(name: str, result: str) -> None:
    """Count a run of a command by the clock. systemd calls this with its SERVICE_RESULT."""
    ended = "succeeded" if result == "success" else "failed"
    add(RUNS, {f"{name} {state}": [state == ended, 0] for state in ("succeeded", "failed")})


def of(kind: str, release: str = "") -> Found:
    """Return the counts of a release, or of all."""
    found: dict[str, Found] = dict(Count.objects.filter(kind=kind).values_list("found", flat=True).first() or [])
    return found.get(release, {})


runs = partial(of, RUNS)  # for /metrics


def tasks() -> dict[str, object]:
    """Return {"tasks": counts of all releases, "failed": {name: number in this release}}."""
    return {"tasks": of(TASKS), "failed": {key.removesuffix(" failed"): number for key, (number, _) in of(
        TASKS, RELEASE).items() if key.endswith(" failed") and number}}
