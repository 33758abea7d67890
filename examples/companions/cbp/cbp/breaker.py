"""A circuit breaker. It forbids tries while too many fail. Callers pass the current time, in seconds."""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

WINDOW = 10  # seconds; older tries do not count
LONGEST = 60  # seconds of the longest wait


class State(Enum):
    """The state of a breaker."""

    CLOSED = "closed"  # all calls may reach the service
    OPEN = "open"  # no call may reach it
    HALF_OPEN = "half-open"  # one call may reach it, as a test


@dataclass
class Breaker:
    """Opens if too many tries fail. An open breaker allows one try after 1 second. If this try succeeds, the breaker
    closes. If the try fails, the wait doubles."""

    threshold: float  # the breaker opens if a larger share of the tries failed
    least: int = 5  # the breaker stays closed while there are fewer tries
    state: State = State.CLOSED
    pause: float = 0  # seconds that the breaker stays open, or last stayed open
    until: float = 0
    turn: int = 0  # the number of state changes; results of tries from an earlier turn are ignored
    tries: deque[tuple[float, bool]] = field(default_factory=deque)  # (time in seconds, True if the try succeeded)
    failed: int = 0  # the number of failures in `tries`

    def ask(self, now: float) -> int | None:
        """Return None if no try is allowed, else a number to pass to `tell` with the try's result."""
        if self.state is State.OPEN and now >= self.until:
            self.change(State.HALF_OPEN)
            return self.turn
        return self.turn if self.state is State.CLOSED else None

    def tell(self, turn: int, worked: bool, now: float) -> None:
        """Record the result of a try. Ignore it if the state has changed since `ask` returned `turn`."""
        if turn != self.turn:
            return
        if self.state is State.CLOSED:
            self.note(now, worked)
            if len(self.tries) >= self.least and self.failed > self.threshold * len(self.tries):
                self.trip(1, now)
        elif worked:
            self.change(State.CLOSED)
        else:
            self.trip(self.pause * 2, now)

    def note(self, now: float, worked: bool) -> None:
        self.tries.append((now, worked))
        self.failed += not worked
        while self.tries[0][0] <= now - WINDOW:
            self.failed -= not self.tries.popleft()[1]

    def trip(self, pause: float, now: float) -> None:
        self.pause = min(pause, LONGEST)
        self.until = now + self.pause
        self.change(State.OPEN)

    def change(self, state: State) -> None:
        self.state = state
        self.turn += 1
        self.tries.clear()
        self.failed = 0
