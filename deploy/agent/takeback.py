"""Undoing an attempt, or finishing it, by /run/APP/attempt alone: its agent may be dead."""

from __future__ import annotations

import os

from . import disk, releases
from .host import Host, Problem
from .shapes import Noted, Say
from .steps.commit import drop_prepared, drop_ways_back, finish, record
from .steps.migrate import remove_one_offs
from .steps.readiness import empty_slot
from .steps.replace import processes_back
from .steps.switch import flip_back, workers_back


def settle(host: Host, say: Say) -> None:
    """Bring the host to its new release, whole, where it has promised, else to its old one."""
    with disk.locked(host.run):  # until here fate.decide may rewrite it
        attempt = releases.read_attempt(host)
    if not attempt:
        disk.remove(host.attempt)
        return
    if attempt.get("promised"):
        finish(host, attempt, say)
    else:
        take_back(host, attempt, say)


def take_back(host: Host, attempt: Noted, say: Say) -> None:
    """Undo all steps, visitors first. Each undo may be done twice, and all are done even where one fails."""
    whole = True
    for step in (flip_back, workers_back, remove_one_offs, processes_back, drop_prepared, empty_slot, note_failure):
        try:
            step(host, attempt)
            say({"event": "takeback", "step": step.__name__, "state": "done"})
        except (Problem, OSError) as error:
            # A host is whole without the record, and with files beside their place, which the next deploy removes.
            whole = whole and step in (note_failure, drop_prepared)
            say({"event": "takeback", "step": step.__name__, "state": "failed", "problem": str(error)})
    if whole or not os.path.exists(host.run):
        drop_ways_back(host)
        disk.remove(host.attempt)


def note_failure(host: Host, attempt: Noted) -> None:
    """Record the attempt where it had begun to change something here."""
    if attempt.get("changed"):
        failed = record(attempt, attempt.get("outcome", "taken back"))
        releases.append(host, {**failed, "cause": attempt.get("cause", "")})
