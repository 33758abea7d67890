"""What a host has said, when, and since when something is wrong there."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..agent import traffic
from ..agent.traffic import Bucket
from ..config import Host

DAY = 86_400
NOT_ASKED = "not asked yet"
CHANGING = re.compile(r"(?<![\w.-])\d[\d.,]*(?: ?(?:%|s|min|h|days?)(?!\w))?(?![\w-])")  # numbers, not those of a tag


@dataclass
class Answer:
    """`at`: when it came, in seconds by this machine's clock."""

    value: Any
    at: float


@dataclass
class WatchedHost:
    """All that a host has said. `problem`: why it does not answer, or ""; `since`: since when."""

    host: Host
    answers: dict[str, Answer] = field(default_factory=dict)  # request → the last answer
    failed: dict[str, str] = field(default_factory=dict)  # request → why it had no answer the last time
    buckets: dict[float, Bucket] = field(default_factory=dict)  # begin → visitors' answers
    complete: bool = False  # True once the buckets go back for a day
    problem: str = NOT_ASKED
    since: float = 0
    closed: set[float] = field(default_factory=set)  # times since when visitors got the maintenance page
    skew: float = 0  # seconds by which its clock is ahead of this machine's
    begins: dict[str, float] = field(default_factory=dict)  # problem without its numbers → since when it is seen

    def value(self, request: str) -> Any:
        """Return the last answer, None if there is none."""
        answer = self.answers.get(request)
        return answer.value if answer else None

    def oldest(self, requests: Iterable[str]) -> float | None:
        """Return when the oldest of these answers came, None if there is none."""
        return min((self.answers[name].at for name in requests if name in self.answers), default=None)

    def add(self, buckets: Sequence[Bucket], now: float) -> None:
        """Add visitors' answers, and drop those that are older than a day."""
        traffic.add_buckets(self.buckets, buckets)
        for at in [at for at in self.buckets if at < now - DAY - 60]:
            del self.buckets[at]

    def fail(self, problem: str) -> None:
        """Note why it does not answer: since its last answer, or since it was first asked."""
        self.since = max((answer.at for answer in self.answers.values()), default=self.since)
        self.problem = problem

    def note(self, problems: Iterable[str], now: float) -> None:
        """Note since when it has these problems, and forget those that have ended."""
        names = [name_of(problem) for problem in problems]
        self.begins = {name: self.begins.get(name, now) for name in names}

    def dated(self, problems: Iterable[str], now: float) -> list[dict[str, Any]]:
        return [{"id": name_of(text), "text": text, "since": self.begins.get(name_of(text), now)} for text in problems]


def name_of(problem: str) -> str:
    """Return a text that stays the same while the problem's numbers change."""
    return CHANGING.sub("N", problem)
