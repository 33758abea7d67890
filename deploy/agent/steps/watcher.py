"""Looking on, without a gap, from a host's flip to the commit: at every role here, and at what visitors get."""

from __future__ import annotations

import contextlib
import threading

from .. import facts, http, slots
from ..attempt import Attempt
from ..host import Host, Problem
from ..shapes import Check, Say
from ..visitors import Visitors
from .readiness import healthy, of_role, site_of, worker_problem


class Watcher:
    """A thread for each thing that is looked at, so that no slow answer keeps the others from being seen.

    The first problem is told at once. Where no host may be sick (`alone`: one is enough) this host's visitors go back
    at once, and the attempt goes no further."""

    def __init__(self, host: Host, attempt: Attempt, say: Say, max_errors: float, alone: bool) -> None:
        self.host, self.attempt, self.say, self.max_errors, self.alone = host, attempt, say, max_errors, alone
        self.visitors, self.over = Visitors(host), threading.Event()
        self.problem: Problem | None = None
        # What, seconds between two looks, and how often in a row it must be amiss: a host may be busy for a moment.
        self.checks: list[tuple[Check, float, int]] = [(self.containers, 0.5, 2)]
        self.checks += [(self.worker, 0.5, 4)] if host.has("worker") else []
        self.checks += [(self.answers, 0.1, 1), (self.ready, 0.25, 4)] if host.has("web") else []

    def start(self) -> None:
        """Check on from now on."""
        for check in self.checks:
            threading.Thread(target=self.keep, args=check, daemon=True).start()

    def rest(self, seconds: float) -> tuple[int, int]:
        """Let it look on so long, and once more at everything in the end. Raises the Problem there is by then."""
        self.over.wait(seconds)
        for check in [*self.checks, (self.beat, 0.5, 2)]:
            self.keep(*check, until_well=True)
        if self.problem:
            raise self.problem
        return self.visitors.counts()

    def keep(self, check: Check, pause: float, times: int, until_well: bool = False) -> None:
        """Check again and again, until it is over, or once more when all is well."""
        amiss = 0
        while not self.over.is_set():
            problem = tried(check)
            amiss = amiss + 1 if problem else 0
            if problem and amiss >= times:
                return self.fail(problem)
            if until_well and not amiss:
                return
            self.over.wait(pause)

    def fail(self, problem: Problem) -> None:
        """Visitors first, then the word to the deployer, who has all hosts taken back."""
        with self.attempt.lock:
            if self.over.is_set():
                return
            self.problem = problem
            if self.alone:
                self.attempt.sick = problem
            if self.alone and not self.attempt.noted.get("prepared"):  # from there on only the deployer knows the way
                with contextlib.suppress(Problem, OSError):
                    slots.flip_back(self.host, self.attempt.noted["live"])
            self.over.set()
        self.say({"event": "sick", "problem": str(problem), "more": problem.more})

    # ---- what is looked at: each returns a Problem or None ----

    def answers(self) -> Problem | None:
        """More errors than before."""
        text = self.visitors.problem(self.max_errors)
        return of_role(self.host, self.attempt, "web", Problem(text)) if text else None

    def ready(self) -> Problem | None:
        """The release does not say that it is ready, through nginx."""
        good = self.visitors.good
        problem = http.not_ready(self.host.run + "/nginx.sock", self.attempt.noted["tag"],
                                 site_of(self.host, self.attempt.noted["slot"]))
        # No answer in time, and visitors got theirs: our question waits in a queue of many, as theirs do.
        queues = problem and not problem.more["status"] and self.visitors.good > good
        return None if queues or not problem else of_role(self.host, self.attempt, "web", problem, " through nginx")

    def worker(self) -> Problem | None:
        """The worker does not take tasks."""
        problem = worker_problem(self.host, self.attempt, ())
        return problem and of_role(self.host, self.attempt, "worker", problem)

    def containers(self) -> Problem | None:
        """One that runs anew has died meanwhile, however well it is now. An engine that is away says nothing."""
        found = facts.listed(self.host)
        if found is None:
            return None
        for name, born in self.attempt.ids.items():
            if found.get(name, ("",))[0] != born:
                return Problem("%s has ended, and %s" % (name, "was started again" if name in found else "is gone"),
                               log_of=(name, self.attempt.noted["began"]))
        return None

    def beat(self) -> Problem | None:
        """Its healthcheck fails."""
        name = self.host.container("beat")
        if name not in self.attempt.ids or healthy(self.host, name) or facts.listed(self.host) is None:
            return None
        return Problem("beat is not healthy", log_of=(name, self.attempt.noted["began"]))


def tried(check: Check) -> Problem | None:
    """What a look finds. That it fails is a problem too: what nobody looks at is not well."""
    try:
        return check()
    except Problem as problem:
        return problem
    except Exception as error:
        return Problem("cannot be watched: %r" % error)
