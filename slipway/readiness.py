"""Check all parts of the site (database, cache, …) at the same time, within 2 s.

Each check runs in its own thread. Callers share the result, and reuse it for one second. If a check hangs, its part
is down. A new check may start when the old one ends, or after GIVE_UP seconds.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypedDict

from django.conf import settings
from django.db import connections
from django.utils.module_loading import import_string

from .health import process

logger = logging.getLogger(__name__)

DEADLINE = 1.9  # seconds for the checks of all parts, so that /readyz answers within 2 s
SHARED = 1  # second for which a result is reused: callers may be many, and a check costs a database session
GIVE_UP = 10  # seconds after which a new check of a part may start beside one that hangs
NEVER = "there never was a heartbeat"  # error of a part that nobody has started yet; not logged as a warning
HANGING = 3  # abandoned checks of a part: if so many still hang, no new one starts
Check = Callable[[], object]


class Answer(TypedDict):
    """A part's state, "ok" or "down", and the milliseconds that its check has taken."""

    state: str
    ms: float


class Attempt:
    """One run of a check, in a thread of its own."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self.started = time.monotonic()
        self.ended = 0.0
        self.outcome: Future[Any] = Future()
        threading.Thread(target=self.run, name="readiness", daemon=True).start()

    def run(self) -> None:
        try:
            self.outcome.set_result(self.timed())
        except BaseException as error:  # whatever is raised, the part is down
            self.outcome.set_exception(error)

    def timed(self) -> object:
        try:
            return self.check()
        finally:
            connections.close_all()  # the connections of this thread
            self.ended = time.monotonic()

    def ms(self) -> float:
        return round(((self.ended or time.monotonic()) - self.started) * 1000, 1)


class Part:
    """A part of the site, its check, and the check's runs."""

    def __init__(self, name: str, check: Check, give_up: float = GIVE_UP, shared: float = SHARED) -> None:
        self.name = name
        self.check = check
        self.give_up = give_up
        self.shared = shared
        self.lock = threading.Lock()
        self.runs: list[Attempt] = []  # those that hang, then the current one
        self.down = False

    def attempt(self) -> Attempt:
        """Return the check's current run. First start a new run if there is none or `may_start` permits it."""
        with self.lock:
            self.runs = [*(run for run in self.runs[:-1] if not run.outcome.done()), *self.runs[-1:]]
            if not self.runs or self.may_start(self.runs[-1]):
                self.runs.append(Attempt(self.check))
            return self.runs[-1]

    def may_start(self, last: Attempt) -> bool:
        if last.outcome.done():
            return time.monotonic() - last.ended >= self.shared
        return time.monotonic() - last.started >= self.give_up and len(self.runs) <= HANGING

    def finish(self, attempt: Attempt, asked: float) -> str:
        """Wait for a run, at most DEADLINE seconds after `asked`. Return its error, or "" if the part is up."""
        deadline = min(attempt.started, asked) + DEADLINE
        try:
            raised = attempt.outcome.exception(max(0, deadline - time.monotonic()))
            error = " ".join(f"{type(raised).__name__}: {raised}".split()) if raised else ""
        except TimeoutError:
            error = f"no answer within {DEADLINE} s"
        self.note(error)
        return error

    def note(self, error: str) -> None:
        with self.lock:
            changed = self.down != bool(error)
            self.down = bool(error)
        # At its start every worker finds pending migrations: one line of each container is enough.
        if changed and (self.name != "migrations" or process.worker in ("0", "1")):
            level = logging.WARNING if error and not error.endswith(NEVER) else logging.INFO
            logger.log(level, "%s is %s", self.name, f"down: {error}" if error else "up again")


_parts: dict[tuple[str, str], Part] = {}


def part(name: str, path: str) -> Part:
    return _parts.setdefault((name, path), Part(name, lambda: import_string(path)()))  # noqa: PLW0108  import it late


def run_checks(paths: Mapping[str, str]) -> dict[str, tuple[str, Attempt]]:
    """Run the checks at `paths` ({part: dotted path}) in parallel. Return {part: (error or "", Attempt)}."""
    return await_checks([part(name, path) for name, path in paths.items()])


def await_checks(parts: list[Part]) -> dict[str, tuple[str, Attempt]]:
    asked = time.monotonic()
    return {
        part.name: (part.finish(attempt, asked), attempt)
        for part, attempt in [(part, part.attempt()) for part in parts]
    }


def ask(beat: bool = False) -> dict[str, Answer]:
    """Check all parts; return {name: Answer}. If `beat` is true, include worker and beat."""
    checks = run_checks({**settings.READINESS, **(getattr(settings, "READINESS_BEAT", {}) if beat else {})})
    return {name: {"state": "down" if error else "ok", "ms": attempt.ms()} for name, (error, attempt) in checks.items()}


def value(name: str, path: str) -> Any:
    return values({name: path})[0]


def values(paths: Mapping[str, str]) -> list[Any]:
    """Call the functions at `paths` ({name: dotted path}) in parallel. Return their results (None after an error)."""
    return [None if error else attempt.outcome.result() for error, attempt in run_checks(paths).values()]
