"""Counts of what ended, and how. The database keeps a row for each release, and one for all of them (release "")."""

from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from ..models import Count
from ..release import RELEASE

Found = dict[tuple[str, str], tuple[int, float]]  # (name, state) → (number, seconds in all)
TASK, RUN = "task", "run"  # kinds: Celery's tasks; runs of commands by the clock
Totals = dict[str, dict[str, list[float]]]  # {name: {state: [number, seconds in all]}}
KEPT = timedelta(days=7)  # afterwards a former release's own rows are removed


def add(kind: str, found: Found) -> None:
    """Add to the counts in one transaction. Raise DatabaseError or InterfaceError if the database fails."""
    with transaction.atomic():
        for (name, state), (number, seconds) in sorted(found.items()):  # sorted: two processes never lock each other
            for release in ("", RELEASE):
                Count.objects.update_or_create(
                    {"number": F("number") + number, "seconds": F("seconds") + seconds, "at": Now()},
                    {"number": number, "seconds": seconds, "at": Now()},
                    kind=kind, name=name, state=state, release=release)
        Count.objects.filter(at__lt=Now() - KEPT).exclude(release__in=("", RELEASE)).delete()


def totals(kind: str) -> Totals:
    found: Totals = {}
    for name, state, *both in Count.objects.filter(kind=kind, release="").values_list(
            "name", "state", "number", "seconds"):
        found.setdefault(name, {})[state] = both
    return found


def tasks() -> dict[str, object]:
    """Return {"tasks": totals, "failed": {name: number in this release}}."""
    failed = Count.objects.filter(kind=TASK, release=RELEASE, state="failed", number__gt=0)
    return {"tasks": totals(TASK), "failed": dict(failed.values_list("name", "number"))}


def runs() -> Totals:
    return totals(RUN)
