"""Undoing an attempt, or finishing it, by what /run/APP/attempt says alone: whoever made it may be dead."""

from __future__ import annotations

import os

from . import disk, releases
from .host import Host, Problem
from .shapes import Noted, Say
from .steps.commit import drop_prepared, drop_ways_back, finish, record
from .steps.migrate import remove_one_offs
from .steps.readiness import empty_slot
from .steps.switch import beat_back, flip_back, workers_back


def settle(host: Host, say: Say) -> None:
    """Bring the host to its old release or its new one, whole. Commit what was promised, take back all else."""
    with disk.locked(host.run):  # until here the deployer may have its say: see fate.py
        attempt = releases.read_attempt(host)
    if not attempt:
        disk.remove(host.attempt)
        return
    if attempt.get("prepared"):
        finish(host, attempt, say)
    else:
        take_back(host, attempt, say)


def take_back(host: Host, attempt: Noted, say: Say) -> None:
    """Visitors first. Each step may be done twice, and one that fails does not keep the others from being done."""
    problems = []
    for step in (flip_back, workers_back, remove_one_offs, beat_back, drop_prepared, empty_slot, note_failure):
        try:
            step(host, attempt)
            say({"event": "takeback", "step": step.__name__, "state": "done"})
        except (Problem, OSError) as error:
            # A host is whole without the record, and with files beside their place, which the next deploy drops.
            problems += [error] if step not in (note_failure, drop_prepared) else []
            say({"event": "takeback", "step": step.__name__, "state": "failed", "problem": str(error)})
    if not problems or not os.path.exists(host.run):
        drop_ways_back(host)
        disk.remove(host.attempt)


def note_failure(host: Host, attempt: Noted) -> None:
    """A record of what had begun to change things here."""
    if attempt.get("changed"):
        failed = record(attempt, attempt.get("outcome", "taken back"))
        releases.append(host, {**failed, "cause": attempt.get("cause", "")})
