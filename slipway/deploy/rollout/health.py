"""The health of a rollout's hosts: the first that is sick ends the steps under way."""

import asyncio
from dataclasses import dataclass, field

from ..errors import HostProblem
from ..ssh.validate import Event, Tell


@dataclass
class Health:
    """The hosts' health since a rollout began; `tell` hears of all events."""

    tell: Tell
    lenient: bool = False  # a web that ends as it starts may need migrations that are to come
    died: HostProblem | None = None  # the first web that ended so
    alarm: asyncio.Event = field(default_factory=asyncio.Event)
    cause: HostProblem | None = None  # of the alarm: the first that is sick

    def hear(self, event: Event) -> None:
        """Take an event of a host. One that is not healthy ends the steps under way, at once."""
        if event["event"] != "sick":
            return self.tell(event)
        problem = HostProblem(event["problem"], more=event["more"])
        problem.step, problem.host = "start" if event.get("step") == "start" else "watch", event["host"]
        if problem.step == "start" and self.lenient:
            self.died = self.died or problem
            text = f"{problem}; it may need the migrations"
            return self.tell({"event": "progress", "host": problem.host, "text": text})
        self.tell({"event": "sick", "host": problem.host, "text": f"not healthy: {event['problem']}"})
        if not self.cause:
            self.cause = problem
            self.alarm.set()

    def boots(self, migrated: bool) -> bool:
        """From now on no web may end as it starts. Returns whether one has before the database was `migrated`, so that
        all are to be started anew; else raises the HostProblem of the first that has."""
        self.lenient, died = False, self.died
        self.died = None
        if died and not migrated:
            raise died
        return bool(died)
