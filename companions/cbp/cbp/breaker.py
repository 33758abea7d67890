"""When to ask a service, and when to leave it alone. No I/O, no clock: who calls says what time it is."""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum


class State(Enum):
    CLOSED = "closed"  # all may try
    OPEN = "open"  # nobody may
    HALF_OPEN = "half-open"  # one may, and tells how it went


@dataclass
class Breaker:
    """Trips when more than the share `threshold` of the tries of the last `window` seconds failed, of at least `least`
    tries. It then refuses for 1, 2, 4 ... seconds, at most `longest`, until a single try succeeds."""

    threshold: float
    least: int = 5
    window: float = 10
    longest: float = 60
    state: State = State.CLOSED
    pause: float = 0  # seconds, of the refusal that is or was last
    until: float = 0
    turn: int = 0  # counts changes of state: what began before one is of no concern after it
    tries: deque[tuple[float, bool]] = field(default_factory=deque)  # (when, whether it worked)
    failed: int = 0  # of them

    def ask(self, now: float) -> int | None:
        """A number to give to `tell`, or None where one must not try."""
        if self.state is State.OPEN and now >= self.until:
            self.change(State.HALF_OPEN)
            return self.turn
        return self.turn if self.state is State.CLOSED else None

    def tell(self, turn: int, worked: bool, now: float) -> None:
        """How a try went. Counts only where nothing has changed since it was allowed."""
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
        while self.tries[0][0] <= now - self.window:
            self.failed -= not self.tries.popleft()[1]

    def trip(self, pause: float, now: float) -> None:
        self.pause = min(pause, self.longest)
        self.until = now + self.pause
        self.change(State.OPEN)

    def change(self, state: State) -> None:
        self.state = state
        self.turn += 1
        self.tries.clear()
        self.failed = 0
