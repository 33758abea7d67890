"""End an attempt: undo it, or finish its commit. Rely on the attempt's file: the attempt's agent may be dead."""

from __future__ import annotations

import os

from . import disk, releases, slots
from .host import Host, Problem
from .image_files import sweep_late
from .shapes import Before, Noted, Say
from .steps.commit import drop_prepared, drop_ways_back, finish, record
from .steps.migrate import remove_one_offs
from .steps.readiness import empty_slot
from .steps.replace import passing, processes_back
from .steps.switch import flip_back, workers_back


def settle(host: Host, say: Say) -> None:
    """Finish the attempt if this host has promised to commit it, else undo it."""
    try:
        with disk.locked(host.run):  # lock: another agent may change the attempt at the same time
            attempt = releases.read_attempt(host)
        if attempt and attempt.get("promised") and attempt.get("renames"):
            finish(host, attempt, say)
        elif attempt:
            take_back(host, attempt, say)
        else:
            disk.remove(*host.attempt_files)
    except (releases.Malformed, AttributeError, LookupError, TypeError, ValueError) as error:
        say({"event": "takeback", "step": "settle", "state": "failed", "problem":
             "%s is malformed (%s): this host goes back to the release in %s" % (
                 host.attempt, type(error).__name__, host.tag)})
        take_back(host, attempt_to_committed(host), say)


def attempt_to_committed(host: Host) -> Noted:
    """Return an attempt that replaces a malformed one: take_back then restores the release in the file TAG."""
    release, settings, live = releases.read_tag(host.tag), disk.read_exact(host.env), slots.live(host)
    there = [slot for slot in (live, slots.other(live)) if slots.release_in(host, slot) == release]
    its_own = [slot for slot in there if disk.read_exact(host.slot_file(slot, "env")) == settings]
    live = [*its_own, *there, live][0]
    before: Before | None = {"release": release, "settings": settings} if release else None
    return {"live": live, "slot": slots.other(live), "before": dict.fromkeys(host.alone(), before),
            "ended": passing(host, live) if release else []}


def take_back(host: Host, attempt: Noted, say: Say) -> None:
    """Undo the steps, the flip first. Go on if an undo fails. Each undo may run twice."""
    whole = True
    for step in (flip_back, workers_back, remove_one_offs, processes_back, drop_prepared, empty_slot, note_failure,
                 sweep_late):
        try:
            step(host, attempt)
            say({"event": "takeback", "step": step.__name__, "state": "done"})
        except (Problem, OSError) as error:
            # If one of these two steps fails, only a log record is missing, or files remain until the next deploy.
            whole = whole and step in (note_failure, drop_prepared)
            say({"event": "takeback", "step": step.__name__, "state": "failed", "problem": str(error)})
    if whole or not os.path.exists(host.run):
        drop_ways_back(host)
        disk.remove(*host.attempt_files)


def note_failure(host: Host, attempt: Noted) -> None:
    """Record the attempt in releases.log if it changed something on this host."""
    if attempt.get("changed"):
        failed = record(attempt, attempt.get("outcome", "taken back"))
        releases.append(host, {**failed, "cause": attempt.get("cause", "")})
