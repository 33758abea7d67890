"""Waiting until the idle slot works, and emptying it when it does not."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from .. import disk, facts, http, site, slots
from ..attempt import Attempt
from ..host import Host, Problem, wait_until
from ..shapes import More, Noted, Say, Site
from . import probes


def empty_slot(host: Host, attempt: Noted) -> None:
    """Drain and stop what was started. A slot that was warm before the deploy stays warm until it retires."""
    slot = attempt["slot"]
    if attempt.get("warm"):
        slots.retire_later(host, slot, attempt)
    else:
        slots.stop(host, slot, attempt.get("drain", slots.DRAIN))


def await_containers(host: Host, names: set[str]) -> None:
    """Wait a few seconds for containers to start, before one-offs compete for the processors."""
    wait_until(lambda: names <= (facts.containers(host, ended=True) or {}).keys(), 5)


def ready(host: Host, attempt: Attempt, say: Say, seconds: float, smoke: Sequence[str], roles: Sequence[str],
          anew: bool = False) -> None:
    """Wait until the slot works; the web answers `smoke` paths. `anew`: restart webs that lacked migrations."""
    if anew and host.has("web"):
        start_anew(host, attempt)
    until_ready(host, attempt, say, {role: host.unit(role, attempt.noted["slot"]) for role in roles if host.has(role)},
                smoke, seconds)


def until_ready(host: Host, attempt: Attempt, say: Say, units: dict[str, str], smoke: Sequence[str],
                seconds: float) -> None:
    """Wait until processes work: `units`: role → unit. From then on they must not end. Raises Problem as soon as one
    has died, or after so many seconds; where none of them must work, it is told instead."""
    try:
        all_ready(host, attempt, units, smoke, seconds)
    except Problem as problem:
        if any(must_work(attempt, role) for role in units):
            raise
        say({"event": "unhealthy", "text": "not healthy, and let pass: %s" % problem})


def must_work(attempt: Attempt, role: str) -> bool:
    """Whether the attempt fails where a role does not work: a rollback goes on for its visitors."""
    return role == "web" or attempt.noted.get("action") != "rollback"


def all_ready(host: Host, attempt: Attempt, units: dict[str, str], smoke: Sequence[str], seconds: float) -> None:
    """until_ready, whoever must work."""
    restarts = {unit: state.get("NRestarts") for unit, state in host.states(*units.values()).items()}
    problems: dict[str, Problem] = {}
    turns = itertools.count()

    def all_work() -> bool:
        nonlocal problems
        asked = {role: problem_of(host, attempt, role, smoke) for role in problems or units}
        problems = {role: problem for role, problem in asked.items() if problem}
        if next(turns) % 5 == 0 or not problems:  # asking systemd takes longer
            check_restarts(host, attempt, units, restarts)
        return not problems
    if not wait_until(all_work, seconds):
        role, problem = next(iter(problems.items()))
        raise role_problem(host, attempt, role, problem, " after %d s" % seconds)
    attempt.must_not_end([container(host, attempt, role) for role in units], facts.containers(host))


def start_anew(host: Host, attempt: Attempt) -> None:
    """Start the slot's web once more: it has ended before the database was migrated, or may be about to."""
    slot = attempt.noted["slot"]
    name = host.container("web", slot)
    attempt.anew = {name: ""}  # the end of the one before is told while this waits, or later
    host.systemctl("restart", host.unit("web", slot), timeout=90)
    await_containers(host, {name})
    attempt.anew = {name: (facts.containers(host, ended=True) or {}).get(name, ("",))[0]}
    attempt.died = None


def check_restarts(host: Host, attempt: Attempt, units: dict[str, str], restarts: dict[str, str | None]) -> None:
    """Raise Problem where a unit has ended: `units`: role → unit, `restarts`: unit → how many it had before."""
    states = host.states(*units.values())
    for role, unit in units.items():
        if states[unit].get("SubState") == "auto-restart" or states[unit].get("NRestarts") != restarts[unit]:
            raise role_problem(host, attempt, role, Problem("%s ended as soon as it had started" % role))


def problem_of(host: Host, attempt: Attempt, role: str, smoke: Sequence[str]) -> Problem | None:
    """Why a process does not work yet, as a Problem; None when it does. Raises Problem where waiting is of no use."""
    try:
        if role == "web":
            return web_problem(host, attempt, host.slot(attempt.noted["slot"], "web.sock"), smoke)
        return worker_problem(host, attempt) if role == "worker" else other_problem(host, attempt, role)
    except Problem as problem:
        raise role_problem(host, attempt, role, problem) from None


def web_problem(host: Host, attempt: Attempt, sock: str, smoke: Sequence[str] = ()) -> Problem | None:
    """Why a socket, the slot's own or nginx's, does not answer as the release, as a Problem; None when it does. Raises
    Problem for a smoke path that fails."""
    site = site_of(host, attempt.noted["slot"])
    problem = http.not_ready(sock, attempt.noted["tag"], site)
    if not problem:
        http.smoke(sock, smoke, site)
    return problem


def worker_problem(host: Host, attempt: Attempt) -> Problem | None:
    """Why the slot's worker does not take tasks yet, as a Problem; None when it does."""
    state, release = slots.worker_state(host, attempt.noted["slot"])
    if state == "consuming" and release == attempt.noted["tag"]:
        return None
    return Problem("the worker is %s" % ("%s as release %s" % (state, release) if state else "not consuming"))


def other_problem(host: Host, attempt: Attempt, role: str) -> Problem | None:
    """Why a process that is neither web nor worker does not work yet, as a Problem; None when it does."""
    ready, site = host.processes[role].ready, site_of(host, attempt.noted["slot"])
    text = probes.problem_of(host, container(host, attempt, role), ready, site)
    return Problem("%s %s" % (role, text)) if text else None


def site_of(host: Host, slot: str) -> Site:
    """(scheme, host) of the SITE_URL that the slot's app has."""
    return site.of(host, disk.read_bytes(host.slot_file(slot, "env"))) or ("http", "localhost")


def container(host: Host, attempt: Attempt, role: str) -> str:
    """The container in which a role runs the new release."""
    return host.container(role, "" if role in host.alone() else attempt.noted["slot"])


def role_problem(host: Host, attempt: Attempt, role: str, problem: Problem, after: str = "") -> Problem:
    """The problem, and whose log to read for more: that is done once visitors are back on a release that is well."""
    more: More = {**problem.more, "log_of": (container(host, attempt, role), attempt.noted["began"])}
    return Problem(str(problem) + after, **more)
