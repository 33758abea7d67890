"""Counts of what ended, and how. Each kind, "tasks" and "runs", has a row of the database."""

import time
from collections.abc import Iterable
from typing import Any

from django.db import transaction

from ..models import Count
from ..release import RELEASE

Ended = tuple[str, float, float, float]  # "NAME STATE", number, seconds, time of the end
RELEASES = 3  # that are kept of each: when two releases work at once, one hides no failure of the other


def add(kind: str, ended: Iterable[Ended]) -> None:
    """Add to the counts. Raise DatabaseError or InterfaceError if the database fails."""
    with transaction.atomic():
        row, _ = Count.objects.select_for_update().get_or_create(kind=kind, defaults={"found": {}})
        for key, number, seconds, at in ended:
            total, spent, *_ = before = row.found.get(key, [0, 0])
            ends = before[3] if len(before) > 3 else {}
            if number:
                ends = dict(sorted({**ends, RELEASE: at}.items(), key=lambda end: end[1])[-RELEASES:])
            row.found[key] = [total + number, spent + seconds, max(ends.values(), default=0), ends]
        row.save()


def run(name: str, result: str) -> None:
    """Count a run of a command by the clock. systemd calls this with its SERVICE_RESULT."""
    good = result == "success"
    if result != "signal":  # docker-runner was killed: the command runs on
        add("runs", [(f"{name} succeeded", good, 0, time.time()), (f"{name} failed", not good, 0, time.time())])


def stored() -> dict[str, dict[str, list[Any]]]:
    """Return {kind: {"NAME STATE": [number, seconds in all, time of the last, {release: time of its last}]}}."""
    return dict(Count.objects.values_list("kind", "found"))
