"""Counts of what ended, and how. The database keeps a row for all releases, and one for each release."""

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from ..models import Count
from ..release import RELEASE

Found = dict[str, list[float]]  # "NAME STATE" → [number, seconds in all]
TASKS, RUNS = "tasks", "runs"  # Celery's tasks; runs of commands by the clock
KEPT = timedelta(days=7)  # afterwards a former release's own row is removed


def plus(one: Found, other: Found) -> Found:
    return {key: [sum(both) for both in zip(one.get(key, (0, 0)), other.get(key, (0, 0)))] for key in one | other}


def add(what: str, found: Found) -> None:
    """Add to the counts in one transaction. Raise DatabaseError or InterfaceError if the database fails."""
    own = f"{what} {RELEASE}"
    with transaction.atomic():
        for name in (what, own):
            row, _ = Count.objects.select_for_update().get_or_create(name=name, defaults={"at": Now(), "found": {}})
            Count.objects.filter(name=name).update(at=Now(), found=plus(row.found, found))
        Count.objects.filter(name__startswith=f"{what} ", at__lt=Now() - KEPT).exclude(name=own).delete()


def run(name: str, result: str) -> None:
    """Count a run of a command by the clock. systemd calls this with its SERVICE_RESULT."""
    ended = "succeeded" if result == "success" else "failed"
    add(RUNS, {f"{name} {state}": [state == ended, 0] for state in ("succeeded", "failed")})


def total(name: str) -> Found:
    return Count.objects.filter(name=name).values_list("found", flat=True).first() or {}


def runs() -> Found:
    return total(RUNS)


def tasks() -> dict[str, object]:
    """Return {"tasks": counts in all, "failed": {name: number in this release}}."""
    own = total(f"{TASKS} {RELEASE}").items()
    return {"tasks": total(TASKS), "failed": {
        key.removesuffix(" failed"): number for key, (number, _) in own if key.endswith(" failed") and number}}
