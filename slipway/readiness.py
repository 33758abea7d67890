"""Is this release ready for visitors? Asks all parts at once and answers within 2 s, whatever hangs.

Each part is asked in a thread of its own, and by one at a time: who asks meanwhile, or within a second after, shares
the answer. A check that hangs is left to itself, and its part is down without being asked again until the check ends
or is given up.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from django.conf import settings
from django.db import connections
from django.utils.module_loading import import_string

logger = logging.getLogger(__name__)

DEADLINE = 1.9  # seconds for all parts together: the answer has to be out within 2
SHARED = 1  # second for which an answer is given to all who ask: they may be many, and each costs a database session
GIVE_UP = 10  # seconds after which a hanging check no longer stands in the way of another one
NEVER = "there never was a heartbeat"  # of what nobody has started yet: that is told, and is no warning
HANGING = 3  # how many given up checks of a part may still hang before no other one is started
Check = Callable[[], object]


class Answer(TypedDict):
    """How a part is: "ok" or "down", and milliseconds to find out."""
    state: str
    ms: float


class Attempt:
    """One run of a check: `done` is set when it has ended, with `error` (text, empty when all is well) and `value`."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self.started = time.monotonic()
        self.done = threading.Event()
        self.error, self.ended = "", 0.0
        self.value: Any = None

    def start(self) -> None:
        try:
            threading.Thread(target=self.run, name="readiness", daemon=True).start()
        except RuntimeError as error:  # no thread to be had
            self.end(error)

    def run(self) -> None:
        """The thread: run the check to its end."""
        try:
            self.value = self.check()
            self.end()
        except BaseException as error:  # whatever it is, the part is down, and nobody else will hear of it
            self.end(error)
        finally:
            connections.close_all()  # this thread's own

    def end(self, error: BaseException | None = None) -> None:
        """Note its end, and wake who waits."""
        self.error = " ".join(f"{type(error).__name__}: {error}".split()) if error else ""
        self.ended = time.monotonic()
        self.done.set()

    def ms(self) -> float:
        """Milliseconds it took, or has been taking so far."""
        return round(((self.ended or time.monotonic()) - self.started) * 1000, 1)


class Part:
    """Something the site needs, and the check that raises when it is down."""

    def __init__(self, name: str, check: Check, give_up: float = GIVE_UP, shared: float = SHARED) -> None:
        self.name, self.check, self.give_up, self.shared = name, check, give_up, shared
        self.lock = threading.Lock()
        self.current: Attempt | None = None
        self.hanging: list[Attempt] = []
        self.down = False

    def attempt(self) -> Attempt:
        """The run in progress or just ended, or else a new one."""
        with self.lock:
            if self.current is None or self.may_start(self.current):
                self.current = Attempt(self.check)
                self.current.start()
            return self.current

    def may_start(self, last: Attempt) -> bool:
        """Whether another run may begin after the last one."""
        if last.done.is_set():
            return time.monotonic() - last.ended >= self.shared
        self.hanging = [attempt for attempt in self.hanging if not attempt.done.is_set()]
        if time.monotonic() - last.started < self.give_up or len(self.hanging) >= HANGING:
            return False
        self.hanging.append(last)
        return True

    def finish(self, attempt: Attempt, asked: float) -> str:
        """Wait for an attempt, no longer than DEADLINE after it started or was asked for. Returns its error."""
        deadline = min(attempt.started, asked) + DEADLINE
        in_time = attempt.done.wait(max(0, deadline - time.monotonic()))
        error = attempt.error if in_time else f"no answer within {DEADLINE} s"
        self.note(error)
        return error

    def note(self, error: str) -> None:
        """Log when the part goes down and when it is back, not each time that somebody asks."""
        with self.lock:
            changed, self.down = self.down != bool(error), bool(error)
        if changed:
            level = logging.WARNING if error and not error.endswith(NEVER) else logging.INFO
            logger.log(level, "%s is %s", self.name, f"down: {error}" if error else "up again")


_parts: dict[tuple[str, str], Part] = {}


def part(name: str, path: str) -> Part:
    """The part of that name, whose check is the function of that dotted path; the same object each time."""
    return _parts.setdefault((name, path), Part(name, lambda: import_string(path)()))


def ended(paths: Mapping[str, str]) -> dict[str, tuple[str, Attempt]]:
    """{name: (its error, its run)} of several parts, asked at once."""
    asked, parts = time.monotonic(), [part(name, path) for name, path in paths.items()]
    return {part.name: (part.finish(attempt, asked), attempt)
            for part, attempt in [(part, part.attempt()) for part in parts]}


def ask(beat: bool = False) -> dict[str, Answer]:
    """{name: {"state": "ok" or "down", "ms": milliseconds}} of each part, `beat`: Celery's worker and beat too."""
    found = ended({**settings.READINESS, **(settings.READINESS_BEAT if beat else {})})
    return {name: {"state": "down" if error else "ok", "ms": attempt.ms()} for name, (error, attempt) in found.items()}


def value(name: str, path: str) -> Any:
    """What a function returns that may hang or fail as a check may; None then."""
    return values({name: path})[0]


def values(paths: Mapping[str, str]) -> list[Any]:
    """What several functions return, asked at once."""
    return [None if error else attempt.value for error, attempt in ended(paths).values()]
