"""Starting the idle slot, and waiting until it works."""

import itertools
import json
import time

from . import disk, facts, http, site, slots
from .host import Problem, at_once

POLL = 0.05  # seconds


def start(host, attempt, say, roles):
    """Start the slot's units of these roles."""
    names = [host.unit(role, attempt["slot"]) for role in roles if host.has(role)]
    attempt.note(changed=True)
    if "worker" in roles:
        slots.resume(host, attempt["slot"])
    if names:
        host.systemctl("start", "--no-block", *names)
        under_way(host, {host.container(role, attempt["slot"]) for role in roles if host.has(role)})


def under_way(host, names, seconds=5):
    """Wait until the containers run, for a while: one-offs that start meanwhile would keep them from the processors.
    Whether they come up at all is not the matter here."""
    deadline = time.monotonic() + seconds
    while not names <= facts.containers(host, ended=True).keys() and time.monotonic() < deadline:
        time.sleep(POLL)


def ready(host, attempt, say, seconds, smoke, roles):
    """Wait until web and worker of the slot work, by their own word. Raises Problem as soon as one has died."""
    deadline = time.monotonic() + seconds
    units = {role: host.unit(role, attempt["slot"]) for role in roles if host.has(role)}
    restarts = {role: state.get("NRestarts") for role, state in states(host, units).items()}
    waiting = list(units)
    for turn in itertools.count():
        problems = {role: problem_of(host, attempt, role, smoke) for role in waiting}
        waiting = [role for role in waiting if problems[role]]
        for role, state in states(host, units).items() if turn % 5 == 0 or not waiting else ():  # that costs more
            if state.get("SubState") == "auto-restart" or state.get("NRestarts") != restarts[role]:
                raise of_role(host, attempt, role, Problem("%s ended as soon as it had started" % role))
        if not waiting:
            return attempt.born(facts.listed(host), [host.container(role, attempt["slot"]) for role in units])
        if time.monotonic() > deadline:
            raise of_role(host, attempt, waiting[0], problems[waiting[0]], " after %d s" % seconds)
        time.sleep(POLL)


def problem_of(host, attempt, role, smoke):
    """Why the slot's web or worker does not work yet, as a Problem, or None. Raises Problem for what waiting does not
    mend."""
    try:
        return CHECKS[role](host, attempt, smoke)
    except Problem as problem:
        raise of_role(host, attempt, role, problem) from None


def states(host, units):
    """role → systemd's properties of its unit."""
    found = host.states(*units.values()) if units else {}
    return {role: found.get(unit, {}) for role, unit in units.items()}


def web_problem(host, attempt, smoke):
    """Why the slot's web is not ready, as a Problem; None when it is."""
    sock, site = host.slot(attempt["slot"], "web.sock"), site_of(host, attempt["slot"])
    problem = http.not_ready(sock, attempt["tag"], site)
    if problem:
        return problem
    smoke_all(sock, smoke, site)
    return None


def worker_problem(host, attempt, smoke):
    state, release = slots.worker_state(host, attempt["slot"])
    if state == "consuming" and release == attempt["tag"]:
        return None
    return Problem("the worker is %s" % (state and "%s as release %s" % (state, release) or "not consuming"))


CHECKS = {"web": web_problem, "worker": worker_problem}


def site_of(host, slot):
    """(scheme, host) by which the slot's app goes."""
    return site.of(host, disk.read_bytes(host.slot_file(slot, "env"))) or ("http", "localhost")


def smoke_all(sock, paths, site):
    """Ask all paths, several at once. Raises the Problem of the first that does not answer."""
    at_once([lambda path=path: http.smoke(sock, path, site) for path in paths])


def healthy(host, container):
    """What the container's own healthcheck says."""
    form = "{{if .State.Running}}{{json .Config.Entrypoint}}{{end}}"
    entry = json.loads(host.docker("inspect", "--format", form, container, check=False).stdout.strip() or "null")
    return bool(entry) and not host.docker("exec", container, *entry, "healthcheck", check=False).returncode


def of_role(host, attempt, role, problem, after=""):
    """The problem, and whose log tells more: it is read when visitors are back where they are well."""
    return Problem(str(problem) + after, **dict(problem.more, log_of=[
        host.container(role, attempt["slot"]), attempt["began"]]))
