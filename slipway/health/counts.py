"""Counts of what ended, and how. Each kind, "tasks" and "runs", has a row of the database."""

import time
from collections.abc import Iterable
from typing import Any

from django.db import transaction

from ..models import Count

Ended = tuple[str, float, float]  # "NAME STATE", number, seconds


def add(kind: str, found: Iterable[Ended]) -> None:
    """Add to the counts. Raise DatabaseError or InterfaceError if the database fails."""
    with transaction.atomic():
        row, _ = Count.objects.select_for_update().get_or_create(kind=kind, defaults={"found": {}})
        for key, number, seconds in found:
            before = row.found.get(key, [0, 0, 0])
            row.found[key] = [before[0] + number, before[1] + seconds, time.time() if number else before[2]]
        row.save()


def run(name: str, result: str) -> None:
    """Count a run of a command by the clock. systemd calls this with its SERVICE_RESULT."""
    good = result == "success"
    if result != "signal":  # docker-runner was killed: the command runs on
        add("runs", [(f"{name} succeeded", good, 0), (f"{name} failed", not good, 0)])


def stored() -> dict[str, dict[str, list[Any]]]:
    """Return {kind: {"NAME STATE": [number, seconds in all, time of the last]}}."""
    return dict(Count.objects.values_list("kind", "found"))
