"""Watch the processes and visitors of a host from its flip to the commit."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Optional, TypedDict

from .. import facts, slots
from ..attempt import Attempt
from ..host import Host, Problem
from ..message_types import Say
from ..visitors import Speed, Visitors
from .readiness import container, other_problem, role_problem, web_problem, worker_problem

FAILURES = 4  # in a row, of /readyz: on a busy machine, one answer may take two seconds and be 503 for it
Check = Callable[[], Optional[Problem]]  # a check that the watcher repeats; it returns None if all is well


class Watched(TypedDict):
    """Visitors' answers while the release was watched."""

    answers: int  # number of answers that visitors got since the flip
    errors: int  # how many of these answers had a status of 500 or more
    speeds: tuple[Speed | None, Speed | None]  # of answers before the deploy, and while it ran; None: there were none


class Watcher:
    """Runs each check in its own thread: a slow check delays no other check. A check that fails too often
    in a row fails the attempt. `max_errors`: how far the share of errors may rise (0 to 1)."""

    def __init__(self, host: Host, attempt: Attempt, say: Say, max_errors: float) -> None:
        self.host = host
        self.attempt = attempt
        self.say = say
        self.max_errors = max_errors
        self.visitors = Visitors(host, started=attempt.noted.get("started", 0))
        self.problem: Problem | None = None
        # Each: (check, seconds between two runs, number of failures in a row after which the attempt fails).
        self.checks: list[tuple[Check, float, int]] = [(self.container_problem, 0.5, 2)]
        if host.has("worker"):
            self.checks.append((self.worker_problem, 0.5, 4))
        if host.has("web"):
            self.checks += [
                (self.errors_problem, 0.1, 1),
                (self.ready_problem, 0.25, FAILURES),
                (self.log_problem, 0.5, 1),
            ]

    def start(self) -> None:
        for check in self.checks:
            threading.Thread(target=self.repeat, args=check, daemon=True).start()

    def watch_for(self, seconds: float) -> Watched:
        """Watch for `seconds`, then run all checks. Raise Problem if one failed. Return what visitors got."""
        self.attempt.over.wait(seconds)
        for check in [*self.checks, (self.other_roles_problem, 0.5, 2)]:
            self.repeat(*check, until_well=True)
        if self.problem:
            raise self.problem
        return self.seen()

    def seen(self) -> Watched:
        """Return what visitors got since the flip."""
        self.visitors.count_new()
        now = self.visitors.now
        return {"answers": now.total, "errors": now.wrong, "speeds": self.visitors.speeds()}

    def repeat(self, check: Check, pause: float, times: int, until_well: bool = False) -> None:
        """Run a check every `pause` seconds until `times` runs in a row fail. If `until_well`, stop once it passes."""
        failed = 0
        while not self.attempt.over.is_set():
            problem = result_of(check)
            failed = failed + 1 if problem else 0
            if problem and failed >= times:
                self.fail(problem)
                return
            if until_well and not problem:
                return
            self.attempt.over.wait(pause)

    def fail(self, problem: Problem) -> None:
        with self.attempt.lock:
            if self.attempt.over.is_set():
                return
            self.problem = self.attempt.sick = problem
            if not self.attempt.noted.get("promised"):  # after the promise to commit, only the deployer decides
                with contextlib.suppress(Problem, OSError):
                    slots.flip_back(self.host, self.attempt.noted["live"])
            self.attempt.over.set()
        self.say({"event": "sick", "problem": str(problem), "details": problem.details})

    # ---- checks: each returns a Problem or None ----

    def errors_problem(self) -> Problem | None:
        """Return a Problem if visitors' errors rose by more than `max_errors`."""
        text = self.visitors.problem(self.max_errors)
        return role_problem(self.host, self.attempt, "web", Problem(text)) if text else None

    def log_problem(self) -> Problem | None:
        """Return a Problem if nginx does not log requests: then a lack of errors proves nothing."""
        text = self.visitors.log_problem()
        return Problem(text) if text else None

    def ready_problem(self) -> Problem | None:
        """Return a Problem if the release, requested through nginx, is not ready."""
        before = self.good_answers()
        problem = web_problem(self.host, self.attempt, self.host.nginx_sock)
        # If the agent's request timed out while visitors got answers, web is only busy: that request waits in a queue.
        queues = problem and not problem.details["status"] and self.good_answers() > before
        if queues or not problem:
            return None
        return role_problem(self.host, self.attempt, "web", problem, " through nginx")

    def good_answers(self) -> int:
        return self.visitors.now.total - self.visitors.now.wrong

    def worker_problem(self) -> Problem | None:
        problem = worker_problem(self.host, self.attempt)
        return problem and role_problem(self.host, self.attempt, "worker", problem)

    def container_problem(self) -> Problem | None:
        """Return a Problem if a container exited, even if it runs again; None if Docker does not answer."""
        running = facts.containers(self.host)
        if running is None:
            return None
        for name, id in self.attempt.ids.items():
            if running.get(name, ("",))[0] != id:
                what = "was restarted" if name in running else "is removed"
                return Problem(f"{name} has exited, and {what}", log_of=self.attempt.log_of(name))
        return None

    def other_roles_problem(self) -> Problem | None:
        """Return a Problem if a process other than web and worker is not ready."""
        for role in self.host.processes:
            is_watched = role not in ("web", "worker") and container(self.host, self.attempt, role) in self.attempt.ids
            problem = is_watched and other_problem(self.host, self.attempt, role)
            if problem and facts.containers(self.host) is not None:
                return role_problem(self.host, self.attempt, role, problem)
        return None


def result_of(check: Check) -> Problem | None:
    try:
        return check()
    except Problem as problem:
        return problem
    except Exception as error:
        return Problem(f"the release cannot be watched: {error!r}")
