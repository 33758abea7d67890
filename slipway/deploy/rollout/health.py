"""How many hosts of a rollout may be sick, and when what they tell of themselves ends it."""

import asyncio
from dataclasses import dataclass, field

from ..errors import HostProblem
from ..ssh.validate import Event, Tell


@dataclass
class Health:
    """The hosts' health since a rollout began; `tell` hears of all events."""

    tell: Tell
    may_be_sick: int = 0  # how many may be sick
    lenient: bool = False  # a web that ends as it starts may need migrations that are to come
    sick: dict[str, str] = field(default_factory=dict)  # host name → why
    died: HostProblem | None = None  # the first web that ended so
    alarm: asyncio.Event = field(default_factory=asyncio.Event)  # more are sick than may be
    cause: HostProblem | None = None  # of the alarm

    @property
    def too_many(self) -> bool:
        """More hosts are sick than may be."""
        return len(self.sick) > self.may_be_sick

    def hear(self, event: Event) -> None:
        """Take an event of a host. One that is not healthy may end the steps under way, at once."""
        if event["event"] != "sick":
            return self.tell(event)
        problem = HostProblem(event["problem"], more=event["more"])
        problem.step, problem.host = "start" if event.get("step") == "start" else "watch", event["host"]
        if problem.step == "start" and self.lenient:
            self.died = self.died or problem
            text = f"{problem}; it may need the migrations"
            return self.tell({"event": "progress", "host": problem.host, "text": text})
        self.sick.setdefault(problem.host, event["problem"])
        self.tell({"event": "sick", "host": problem.host, "text": f"not healthy: {event['problem']}"})
        if self.too_many and not self.cause:
            self.cause = problem
            self.alarm.set()

    def passes(self, step: str, host: str) -> bool:
        """Whether a step that failed on a host counts as done: it watched one of the few that may be sick."""
        return step == "watch" and host in self.sick and not self.too_many

    def boots(self, migrated: bool) -> bool:
        """From now on no web may end as it starts. Returns whether one has before the database was `migrated`, so that
        all are to be started anew; else raises the HostProblem of the first that has."""
        self.lenient, died = False, self.died
        self.died = None
        if died and not migrated:
            raise died
        return bool(died)
