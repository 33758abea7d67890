"""Wait until a release's processes are ready."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

from .. import disk, facts, http, site, slots, strangers
from ..attempt import Attempt
from ..host import Host, Problem, wait_until
from ..message_types import Details, Noted, Say, Site
from ..progress import Progress
from . import probes

SOON, PAUSE = 5, 0.5  # after so many seconds a release is asked only once a PAUSE: each question costs CPU time


def empty_slot(host: Host, attempt: Noted) -> None:
    """Stop the new slot once it has no visitors, or after `drain` s. A timer stops it if it ran before the attempt."""
    slot = attempt["slot"]
    if attempt.get("warm"):
        slots.retire_later(host, slot, attempt)
    else:
        slots.stop(host, slot, attempt["drain"])


def await_containers(host: Host, names: set[str]) -> None:
    """Wait at most 5 s until the containers exist: one-off commands that start earlier would slow their creation."""
    wait_until(lambda: names <= (facts.containers(host, ended=True) or {}).keys(), 5)


def refuse_strangers(host: Host, attempt: Attempt, names: dict[str, str]) -> None:
    """Raise Problem if a container runs that is not ours, under one of the `names` (role → container). Its unit would
    wait for its end."""
    for text in strangers.problems(host, [name for role, name in names.items() if must_work(attempt, role)]):
        raise Problem(text)


def wait_until_ready(
    host: Host, attempt: Attempt, say: Say, units: dict[str, str], smoke: Sequence[str], seconds: float
) -> None:
    """Wait until `units` (role → unit) are ready. Raise Problem if one exits, after `seconds`, or if web's answer has
    been the same for half of them. If a rollback's `units` lack web, only report the Problem to the deployer."""
    try:
        all_ready(host, attempt, Progress(say), units, smoke, seconds)
    except Problem as problem:
        if any(must_work(attempt, role) for role in units):
            raise
        say({"event": "unhealthy", "text": f"not healthy, but the rollback goes on: {problem}"})


def must_work(attempt: Attempt, role: str) -> bool:
    """Return True if the attempt fails without the role. A rollback needs only the web."""
    return role == "web" or attempt.noted.get("action") != "rollback"


def all_ready(
    host: Host, attempt: Attempt, progress: Progress, units: dict[str, str], smoke: Sequence[str], seconds: float
) -> None:
    restarts = {unit: state.get("NRestarts") for unit, state in host.states(*units.values()).items()}
    problems: dict[str, Problem] = {}
    turns = itertools.count()
    answer = SameAnswer()

    def all_work() -> bool:
        nonlocal problems
        asked = {role: problem_of(host, attempt, role, smoke) for role in problems or units}
        problems = {role: problem for role, problem in asked.items() if problem}
        for problem in problems.values():
            progress.tell(str(problem))
        if answer.seconds(problems.get("web")) > seconds / 2:
            raise role_problem(host, attempt, "web", problems["web"], f" for {seconds / 2:g} s")
        if next(turns) % 5 == 0 or not problems:  # only each fifth time: systemctl is slow
            check_restarts(host, attempt, units, restarts)
        return not problems

    if not wait_until(all_work, min(SOON, seconds)) and not wait_until(all_work, seconds - SOON, PAUSE):
        role, problem = next(iter(problems.items()))
        raise role_problem(host, attempt, role, problem, f" after {seconds:g} s")
    attempt.must_not_end([container(host, attempt, role) for role in units], facts.containers(host))


class SameAnswer:
    """For how long web has given the same answer. One that does not listen yet, or is too slow, has given none."""

    def __init__(self) -> None:
        self.status = 0
        self.since = 0.0

    def seconds(self, problem: Problem | None) -> float:
        status = problem.details.get("status", 0) if problem else 0
        if not status or status != self.status:
            self.status = status
            self.since = time.monotonic()
            return 0
        return time.monotonic() - self.since


def check_restarts(host: Host, attempt: Attempt, units: dict[str, str], restarts: dict[str, str | None]) -> None:
    states = host.states(*units.values())
    for role, unit in units.items():
        if states[unit].get("SubState") == "auto-restart" or states[unit].get("NRestarts") != restarts[unit]:
            raise exit_problem(host, attempt, role)


def problem_of(host: Host, attempt: Attempt, role: str, smoke: Sequence[str]) -> Problem | None:
    """Return why the role's process is not ready; None if it is. Raise Problem if waiting cannot help."""
    try:
        if role == "web":
            return web_problem(host, attempt, host.slot(attempt.noted["slot"], "web.sock"), smoke)
        return worker_problem(host, attempt) if role == "worker" else other_problem(host, attempt, role)
    except Problem as problem:
        raise role_problem(host, attempt, role, problem) from None


def web_problem(host: Host, attempt: Attempt, sock: str, smoke: Sequence[str] = ()) -> Problem | None:
    """Ask at `sock` if the release is ready. Return why not; None if it is. Raise Problem if a smoke path fails."""
    site = site_of(host, attempt.noted["slot"])
    problem = http.readiness_problem(sock, attempt.noted["tag"], site)
    if not problem:
        http.smoke(sock, smoke, site)
    return problem


def worker_problem(host: Host, attempt: Attempt) -> Problem | None:
    state, release = slots.worker_state(host, attempt.noted["slot"])
    if state == "consuming" and release == attempt.noted["tag"]:
        return None
    return Problem(f"the worker is {state} as release {release}" if state else "the worker is not consuming")


def other_problem(host: Host, attempt: Attempt, role: str) -> Problem | None:
    ready = host.processes[role].ready
    site = site_of(host, attempt.noted["slot"])
    text = probes.problem_of(host, container(host, attempt, role), ready, site)
    return Problem(f"{role} {text}") if text else None


def site_of(host: Host, slot: str) -> Site:
    return site.site_of(host, disk.read_bytes(host.slot_file(slot, "env"))) or ("http", "localhost")


def container(host: Host, attempt: Attempt, role: str) -> str:
    return host.container(role, "" if role in host.alone() else attempt.noted["slot"])


def exit_problem(host: Host, attempt: Attempt, role: str) -> Problem:
    return role_problem(host, attempt, role, Problem(f"{role} exited right after its start"))


def role_problem(host: Host, attempt: Attempt, role: str, problem: Problem, after: str = "") -> Problem:
    """Return the problem with `after` added to its text. Add which container's log the deployer shall show."""
    details: Details = {**problem.details, "log_of": attempt.log_of(container(host, attempt, role))}
    return Problem(str(problem) + after, **details)
