"""The step that replaces processes of which two releases must not run at once."""

from __future__ import annotations

import os
import time

from .. import disk, slots
from ..attempt import Attempt
from ..host import Host, Problem
from ..message_types import Noted, Say
from .readiness import refuse_strangers, wait_until_ready
from .step import step

STOP = 120  # seconds for a stop: more than the unit's TimeoutStopSec


def units_of_live_slot(host: Host, slot: str) -> list[str]:
    """Return a slot's units that may run only while the slot is live."""
    passing = [role for role, process in host.processes.items() if process.overlap and not process.stays]
    return [host.unit(role, slot) for role in passing]


def processes_back(host: Host, attempt: Noted) -> None:
    """Undo `replace`: start the stopped processes in their old release again. At the end raise the first Problem."""
    problems = []  # the next two lines ignore roles that provisioning has removed since the attempt began
    old = {role: pins for role, pins in attempt.get("before", {}).items() if role in host.alone()}
    ended = [unit for unit in attempt.get("ended", []) if unit in units_of_live_slot(host, attempt["live"])]
    if old:  # begin to stop all these units at once; the loop below waits for each unit
        host.systemctl("stop", "--no-block", *map(host.unit, old), check=False)
    for role, pins in old.items():
        try:
            bring_process_back(host, role, pins)
        except Problem as problem:
            problems.append(problem)
    try:
        if ended:
            host.systemctl("start", *ended, timeout=90)
    except Problem as problem:
        problems.append(problem)
    new = slots.running(host, *units_of_live_slot(host, attempt["slot"]))
    if new:  # this slot is not live, but its web may run on: stop processes that may run only in the live slot
        host.systemctl("stop", "--no-block", *new)
    if problems:
        raise problems[0]


def bring_process_back(host: Host, role: str, pins: list[str] | None) -> None:
    host.systemctl("stop", host.unit(role), timeout=STOP)
    slots.bring_back(host, role, pins or ())
    if pins is not None:
        host.systemctl("start", host.unit(role), timeout=90)


@step(480, undo=processes_back, takeback="restart the old processes")
def replace(host: Host, attempt: Attempt, say: Say, seconds: float) -> None:
    """Restart the processes outside the slots, in the new release. Wait at most `seconds` until they are ready."""
    units = {role: host.unit(role) for role in host.alone()}
    refuse_strangers(host, attempt, {role: host.container(role) for role in units})
    if units:
        up = slots.running(host, *units.values())
        pins = {
            role: [*filter(os.path.exists, slots.release_files(host, role))] if unit in up else None
            for role, unit in units.items()
        }
        attempt.note(before={**pins, **attempt.noted.get("before", {})})
        host.systemctl("stop", *units.values(), timeout=STOP)
        attempt.logs_since.update(dict.fromkeys(map(host.container, units), time.monotonic()))
        settings = disk.read_exact(host.slot_file(attempt.noted["slot"], "env"))
        for role in units:
            slots.set_aside(host, role)
            slots.pin(host, role, attempt.release(), settings)
        host.systemctl("start", *units.values(), timeout=90)
        wait_until_ready(host, attempt, say, units, (), seconds)
    end_old(host, attempt)


def end_old(host: Host, attempt: Attempt) -> None:
    """Stop the old slot's processes that may run only in the live slot."""
    ended = slots.running(host, *units_of_live_slot(host, attempt.noted["live"]))
    if ended:
        attempt.note(ended=[*attempt.noted.get("ended", []), *ended])
        host.systemctl("stop", *ended, timeout=STOP)
