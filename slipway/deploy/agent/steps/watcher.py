"""Watching every role of a host, and what its visitors get, without a gap from its flip to the commit."""

from __future__ import annotations

import contextlib
import threading

from .. import facts, slots
from ..attempt import Attempt
from ..host import Host, Problem
from ..shapes import Check, Say
from ..visitors import Visitors
from .readiness import container, role_problem, other_problem, web_problem, worker_problem


class Watcher:
    """Checks in a thread each, so that a slow answer delays no other. The first problem takes this host's visitors
    back, ends its attempt, and is told. `max_errors`: the share of errors that visitors may get."""

    def __init__(self, host: Host, attempt: Attempt, say: Say, max_errors: float) -> None:
        self.host, self.attempt, self.say, self.max_errors = host, attempt, say, max_errors
        self.visitors, self.over = Visitors(host), threading.Event()
        self.problem: Problem | None = None
        # (check, seconds between two, how often in a row it must fail: a host may be busy for a moment)
        self.checks: list[tuple[Check, float, int]] = [(self.containers, 0.5, 2)]
        self.checks += [(self.worker, 0.5, 4)] if host.has("worker") else []
        self.checks += [(self.answers, 0.1, 1), (self.ready, 0.25, 4), (self.sight, 0.5, 1)] if host.has("web") else []

    def start(self) -> None:
        """Check from now on, in threads."""
        for check in self.checks:
            threading.Thread(target=self.repeat, args=check, daemon=True).start()

    def rest(self, seconds: float) -> tuple[int, int]:
        """Watch for so many seconds, then check all once more; (answers, errors). Raises the Problem that is found."""
        self.over.wait(seconds)
        for check in [*self.checks, (self.others, 0.5, 2)]:
            self.repeat(*check, until_well=True)
        if self.problem:
            raise self.problem
        return self.visitors.now.total, self.visitors.now.wrong

    def repeat(self, check: Check, pause: float, times: int, until_well: bool = False) -> None:
        """Check until it fails so many times in a row, or all is over; with `until_well` also until it is well."""
        failed = 0
        while not self.over.is_set():
            problem = result_of(check)
            failed = failed + 1 if problem else 0
            if problem and failed >= times:
                return self.fail(problem)
            if until_well and not problem:
                return
            self.over.wait(pause)

    def fail(self, problem: Problem) -> None:
        """Take the visitors back, then tell the deployer, who takes all hosts back."""
        with self.attempt.lock:
            if self.over.is_set():
                return
            self.problem = self.attempt.sick = problem
            if not self.attempt.noted.get("promised"):  # then only the deployer knows the way
                with contextlib.suppress(Problem, OSError):
                    slots.flip_back(self.host, self.attempt.noted["live"])
            self.over.set()
        self.say({"event": "sick", "problem": str(problem), "more": problem.more})

    # ---- checks: each returns a Problem or None ----

    def answers(self) -> Problem | None:
        """More errors than before."""
        text = self.visitors.problem(self.max_errors)
        return role_problem(self.host, self.attempt, "web", Problem(text)) if text else None

    def sight(self) -> Problem | None:
        """What visitors are answered cannot be seen: no error is no sign of health then."""
        text = self.visitors.blind()
        return Problem(text) if text else None

    def ready(self) -> Problem | None:
        """The release does not say that it is ready, through nginx."""
        before = self.good()
        problem = web_problem(self.host, self.attempt, self.host.nginx_sock)
        # Without an answer in time, while visitors got theirs, our question waits in a queue, as theirs do.
        queues = problem and not problem.more["status"] and self.good() > before
        if queues or not problem:
            return None
        return role_problem(self.host, self.attempt, "web", problem, " through nginx")

    def good(self) -> int:
        """How many answers were no errors."""
        return self.visitors.now.total - self.visitors.now.wrong

    def worker(self) -> Problem | None:
        """The worker does not take tasks."""
        problem = worker_problem(self.host, self.attempt)
        return problem and role_problem(self.host, self.attempt, "worker", problem)

    def containers(self) -> Problem | None:
        """A container has ended, even if it runs again. Where the engine does not answer, nothing is known."""
        found = facts.containers(self.host)
        if found is None:
            return None
        for name, id in self.attempt.ids.items():
            if found.get(name, ("",))[0] != id:
                return Problem("%s has ended, and %s" % (name, "was started again" if name in found else "is gone"),
                               log_of=(name, self.attempt.noted["began"]))
        return None

    def others(self) -> Problem | None:
        """A process that is neither web nor worker does not work."""
        for role in self.host.processes:
            known = role not in ("web", "worker") and container(self.host, self.attempt, role) in self.attempt.ids
            problem = known and other_problem(self.host, self.attempt, role)
            if problem and facts.containers(self.host) is not None:
                return role_problem(self.host, self.attempt, role, problem)
        return None


def result_of(check: Check) -> Problem | None:
    """The problem that a check finds. One that cannot be made is a problem, too."""
    try:
        return check()
    except Problem as problem:
        return problem
    except Exception as error:
        return Problem("cannot be watched: %r" % error)
