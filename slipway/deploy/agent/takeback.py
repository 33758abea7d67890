"""End an attempt: undo it, or finish its commit. Rely on the attempt's file: the attempt's agent may be dead."""

from __future__ import annotations

import contextlib
import os
import time

from . import disk, errors, groups, image_files, releases
from .facts import JOURNAL
from .host import Host, Problem
from .message_types import Noted, Say
from .steps.commit import drop_prepared, drop_ways_back, finish, record
from .steps.migrate import remove_one_offs
from .steps.readiness import empty_slot
from .steps.replace import processes_back
from .steps.switch import flip_back, workers_back
from .visitors import ANSWERS

# The undos of the steps, in the order of a takeback: visitors first.
UNDOS = (flip_back, workers_back, remove_one_offs, processes_back, drop_prepared, empty_slot)


def settle(host: Host, say: Say) -> None:
    """Finish the attempt if this host has promised to commit it, else undo it."""
    with disk.locked(host.run):  # lock: another agent may change the attempt at the same time
        attempt = releases.read_attempt(host)
    if attempt and attempt.get("promised") and attempt.get("renames"):
        finish(host, attempt, say)
    elif attempt:
        take_back(host, attempt, say)
    else:
        disk.remove(*host.attempt_files)
    image_files.remove_leftovers(host)


def take_back(host: Host, attempt: Noted, say: Say) -> None:
    """Undo the steps, then note the failure. Go on if an undo fails. Each undo may run twice."""
    with contextlib.suppress(OSError):  # for those who watch; /run may be full
        releases.save_attempt(host, {**attempt, "promised": False, "cause": cause_of(host, attempt)})
    whole = True
    for undo in (*UNDOS, note_failure):
        try:
            undo(host, attempt)
            say({"event": "takeback", "step": undo.__name__, "state": "done"})
        except (Problem, OSError) as error:
            # If one of these two fails, only a log record is missing, or files remain until the next deploy.
            whole = whole and undo in (note_failure, drop_prepared)
            say({"event": "takeback", "step": undo.__name__, "state": "failed", "problem": str(error)})
    if whole or not os.path.exists(host.run):
        drop_ways_back(host)
        disk.remove(*host.attempt_files)


def note_failure(host: Host, attempt: Noted) -> None:
    failed = record(attempt, attempt.get("outcome", "taken back"))
    cause = cause_of(host, attempt)
    if ANSWERS in cause:  # which errors? Ask only now: visitors are back
        cause = "; ".join(filter(None, [cause, new_errors(host, attempt)]))
    releases.append(host, {**failed, "cause": cause})


def cause_of(host: Host, attempt: Noted) -> str:
    return attempt.get("cause") or disk.read(host.lock_broken) or cause_of_silence()


def cause_of_silence() -> str:
    """Return why the agent ended though the deployer did not say so. systemd sets this variable for ExecStopPost."""
    causes = {"exit-code": "the deployer ended, or its connection broke", "watchdog": "the deployer fell silent"}
    return causes.get(os.environ.get("SERVICE_RESULT", ""), "the agent on this host was killed")


def new_errors(host: Host, attempt: Noted) -> str:
    try:
        answer = errors.find(host, attempt["started"] - time.monotonic(), attempt["tag"], seconds=JOURNAL)
        return groups.summary(answer["groups"])
    except Exception as error:  # whatever is in a log, it must not disturb a takeback
        return f"which errors is unknown: {error}"
