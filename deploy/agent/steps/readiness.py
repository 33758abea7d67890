"""Starting the idle slot, and waiting until it works."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence
from functools import partial

from .. import disk, facts, http, site, slots
from ..attempt import Attempt
from ..host import Host, Problem, at_once
from ..shapes import More, Noted, Properties, Say, Site

POLL = 0.05  # seconds
STOPPING = 60  # seconds that a takeback waits for what it stops; a worker may go on to end its task


def start(host: Host, attempt: Attempt, say: Say, roles: Sequence[str]) -> None:
    """Start the slot's units of these roles."""
    names = [host.unit(role, attempt.noted["slot"]) for role in roles if host.has(role)]
    attempt.note(changed=True)
    if "worker" in roles:
        slots.resume(host, attempt.noted["slot"])
    if names:
        host.systemctl("start", "--no-block", *names)
        under_way(host, {host.container(role, attempt.noted["slot"]) for role in roles if host.has(role)})


def empty_slot(host: Host, attempt: Noted) -> None:
    """What was started drains and stops; a slot that was warm before stays so, and retires in its time."""
    slot = attempt["slot"]
    if attempt.get("warm"):
        slots.retire_later(host, slot, attempt)
    else:
        slots.stop(host, slot, STOPPING)


def under_way(host: Host, names: set[str], seconds: float = 5) -> None:
    """Wait a few seconds for the containers to run: one-offs started meanwhile would take the processors from them. A
    container that never starts is reported later, by `ready`."""
    deadline = time.monotonic() + seconds
    while not names <= facts.containers(host, ended=True).keys() and time.monotonic() < deadline:
        time.sleep(POLL)


def ready(host: Host, attempt: Attempt, say: Say, seconds: float, smoke: Sequence[str], roles: Sequence[str]) -> None:
    """Wait until web and worker of the slot work, by their own word. Raises Problem as soon as one has died."""
    deadline = time.monotonic() + seconds
    units = {role: host.unit(role, attempt.noted["slot"]) for role in roles if host.has(role)}
    restarts = {role: state.get("NRestarts") for role, state in states(host, units).items()}
    waiting = list(units)
    for turn in itertools.count():
        asked = ((role, problem_of(host, attempt, role, smoke)) for role in waiting)
        problems = {role: problem for role, problem in asked if problem}
        waiting = list(problems)
        for role, state in states(host, units).items() if turn % 5 == 0 or not waiting else ():  # that costs more
            if state.get("SubState") == "auto-restart" or state.get("NRestarts") != restarts[role]:
                raise of_role(host, attempt, role, Problem("%s ended as soon as it had started" % role))
        if not waiting:
            return attempt.born(facts.listed(host), [host.container(role, attempt.noted["slot"]) for role in units])
        if time.monotonic() > deadline:
            raise of_role(host, attempt, waiting[0], problems[waiting[0]], " after %d s" % seconds)
        time.sleep(POLL)


def problem_of(host: Host, attempt: Attempt, role: str, smoke: Sequence[str]) -> Problem | None:
    """Why the slot's web or worker does not work yet, as a Problem, or None. Raises Problem for what waiting does not
    mend."""
    try:
        return CHECKS[role](host, attempt, smoke)
    except Problem as problem:
        raise of_role(host, attempt, role, problem) from None


def states(host: Host, units: dict[str, str]) -> dict[str, Properties]:
    """role → systemd's properties of its unit."""
    found = host.states(*units.values()) if units else {}
    return {role: found.get(unit, {}) for role, unit in units.items()}


def web_problem(host: Host, attempt: Attempt, smoke: Sequence[str]) -> Problem | None:
    """Why the slot's web is not ready, as a Problem; None when it is."""
    sock, site = host.slot(attempt.noted["slot"], "web.sock"), site_of(host, attempt.noted["slot"])
    problem = http.not_ready(sock, attempt.noted["tag"], site)
    if problem:
        return problem
    smoke_all(sock, smoke, site)
    return None


def worker_problem(host: Host, attempt: Attempt, smoke: Sequence[str]) -> Problem | None:
    """The same of its worker."""
    state, release = slots.worker_state(host, attempt.noted["slot"])
    if state == "consuming" and release == attempt.noted["tag"]:
        return None
    return Problem("the worker is %s" % (state and "%s as release %s" % (state, release) or "not consuming"))


CHECKS = {"web": web_problem, "worker": worker_problem}


def site_of(host: Host, slot: str) -> Site:
    """(scheme, host) by which the slot's app goes."""
    return site.of(host, disk.read_bytes(host.slot_file(slot, "env"))) or ("http", "localhost")


def smoke_all(sock: str, paths: Sequence[str], site: Site) -> None:
    """Ask all paths, several at once. Raises the Problem of the first that does not answer."""
    at_once([partial(http.smoke, sock, path, site) for path in paths])


def healthy(host: Host, container: str) -> bool:
    """What the container's own healthcheck says."""
    form = "{{if .State.Running}}{{json .Config.Entrypoint}}{{end}}"
    entry = json.loads(host.docker("inspect", "--format", form, container, check=False).stdout.strip() or "null")
    return bool(entry) and not host.docker("exec", container, *entry, "healthcheck", check=False).returncode


def of_role(host: Host, attempt: Attempt, role: str, problem: Problem, after: str = "") -> Problem:
    """The problem, and whose log tells more: it is read when visitors are back where they are well."""
    more: More = {**problem.more, "log_of": (host.container(role, attempt.noted["slot"]), attempt.noted["began"])}
    return Problem(str(problem) + after, **more)
