"""Undoing an attempt, or finishing it, by /run/APP/attempt alone: its agent may be dead."""

from __future__ import annotations

import os

from . import disk, releases, slots
from .host import Host, Problem
from .shapes import Before, Noted, Say
from .steps.commit import drop_prepared, drop_ways_back, finish, record
from .steps.migrate import remove_one_offs
from .steps.readiness import empty_slot
from .steps.replace import passing, processes_back
from .steps.switch import flip_back, workers_back


def settle(host: Host, say: Say) -> None:
    """Bring the host to its new release, whole, where it has promised, else to its old one."""
    try:
        with disk.locked(host.run):  # until here fate.decide may rewrite it
            attempt = releases.read_attempt(host)
        if attempt and attempt.get("promised") and attempt.get("renames"):
            finish(host, attempt, say)
        elif attempt:
            take_back(host, attempt, say)
        else:
            disk.remove(*host.attempt_files)
    except (releases.Malformed, AttributeError, LookupError, TypeError, ValueError) as error:
        say({"event": "takeback", "step": "settle", "state": "failed", "problem":
             "%s is not what a deploy writes down (%s): this host goes back to what %s names" % (
                 host.attempt, type(error).__name__, host.tag)})
        take_back(host, attempt_to_committed(host), say)


def attempt_to_committed(host: Host) -> Noted:
    """An attempt that leads to the committed release, where none says what was begun: the slot that runs it gets the
    visitors, or keeps them, and the other one is emptied."""
    release, settings, live = releases.read_tag(host.tag), disk.read_exact(host.env), slots.live(host)
    there = [slot for slot in (live, slots.other(live)) if slots.release_in(host, slot) == release]
    its_own = [slot for slot in there if disk.read_exact(host.slot_file(slot, "env")) == settings]
    live = [*its_own, *there, live][0]
    before: Before | None = {"release": release, "settings": settings} if release else None
    return {"live": live, "slot": slots.other(live), "before": dict.fromkeys(host.alone(), before),
            "ended": passing(host, live) if release else []}


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
        disk.remove(*host.attempt_files)


def note_failure(host: Host, attempt: Noted) -> None:
    """Record the attempt where it had begun to change something here."""
    if attempt.get("changed"):
        failed = record(attempt, attempt.get("outcome", "taken back"))
        if not releases.is_whole({**failed}):
            raise ValueError("no record can be made of it")
        releases.append(host, {**failed, "cause": attempt.get("cause", "")})
