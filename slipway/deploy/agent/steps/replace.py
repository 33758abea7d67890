"""Moving those processes to the new release of which one runs at a time, and ending old ones beside the new."""

from __future__ import annotations

from .. import disk, releases, slots
from ..attempt import Attempt
from ..host import Host, Problem
from ..shapes import Before, Noted, Say
from .readiness import until_ready

STOP = 120  # seconds that a process may take to stop: more than TimeoutStopSec of its unit


def replace(host: Host, attempt: Attempt, say: Say, seconds: float) -> None:
    """Stop what runs alone, start it in the new release, wait `seconds` for it, then end what passes."""
    units = {role: host.unit(role) for role in host.alone()}
    if units:
        attempt.note(before={**{role: what_runs(host, role) for role in units}, **attempt.noted.get("before", {})})
        host.systemctl("stop", *units.values(), timeout=STOP)
        settings = disk.read_exact(host.slot_file(attempt.noted["slot"], "env"))
        for role in units:
            slots.set_aside(host, role)
            slots.pin(host, role, attempt.release(), settings)
        host.systemctl("start", *units.values(), timeout=90)
        until_ready(host, attempt, say, units, (), seconds)
    end_old(host, attempt)


def what_runs(host: Host, role: str) -> Before | None:
    """What a process runs that runs alone; None where it does not run."""
    if not slots.running(host, host.unit(role)):
        return None
    tag, env = slots.pins(host, role)
    return {"release": releases.read_tag(tag) or releases.read_tag(host.tag),
            "settings": disk.read_exact(env) or disk.read_exact(host.env)}


def end_old(host: Host, attempt: Attempt) -> None:
    """Stop what does not stay in the old slot."""
    ended = slots.running(host, *passing(host, attempt.noted["live"]))
    if ended:
        attempt.note(ended=[*attempt.noted.get("ended", []), *ended])
        host.systemctl("stop", *ended, timeout=STOP)


def passing(host: Host, slot: str) -> list[str]:
    """The units of a slot that run in it only while it is live."""
    passing = [role for role, process in host.processes.items() if process.overlap and not process.stays]
    return [host.unit(role, slot) for role in passing]


# ---- and back ----

def processes_back(host: Host, attempt: Noted) -> None:
    """Start all old processes again that were stopped. Raises the first Problem."""
    problems = []  # of roles and units that are there still: somebody may have provisioned since
    old = {role: before for role, before in attempt.get("before", {}).items() if role in host.alone()}
    ended = [unit for unit in attempt.get("ended", []) if unit in passing(host, attempt["live"])]
    if old:  # all begin to end at the same time
        host.systemctl("stop", "--no-block", *map(host.unit, old), check=False)
    for role, before in old.items():
        try:
            back(host, role, before)
        except Problem as problem:
            problems.append(problem)
    try:
        if ended:
            host.systemctl("start", *ended, timeout=90)
    except Problem as problem:
        problems.append(problem)
    new = slots.running(host, *passing(host, attempt["slot"]))
    if new:  # they would run on in a slot that stays warm
        host.systemctl("stop", "--no-block", *new)
    if problems:
        raise problems[0]


def back(host: Host, role: str, before: Before | None) -> None:
    """Start a process again as it was before."""
    unit, (tag, env) = host.unit(role), slots.pins(host, role)
    host.systemctl("stop", unit, timeout=STOP)
    slots.bring_back(host, role)
    if not before:
        disk.remove(tag, env)
        return
    release = before["release"]  # None where nothing named it: there is nothing to write
    if release and (releases.read_tag(tag), disk.read_exact(env)) != (release, before["settings"]):
        slots.pin(host, role, release, before["settings"])
    host.systemctl("start", unit, timeout=90)
