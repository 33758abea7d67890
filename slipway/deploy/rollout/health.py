"""The health of a rollout's hosts. The first sick host stops the running steps."""

import asyncio
from dataclasses import dataclass, field

from ..errors import HostProblem
from ..ssh.validate import Event, Tell


@dataclass
class Health:
    """Passes the hosts' events to `tell`, and keeps the problem of the first sick host."""

    tell: Tell
    lenient: bool = False  # True: tolerate exits of web at boot, as migrations may be missing
    died: HostProblem | None = None  # the problem of the first web process that exited at boot
    alarm: asyncio.Event = field(default_factory=asyncio.Event)
    cause: HostProblem | None = None  # the problem of the first sick host

    def hear(self, event: Event) -> None:
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
        """Return True if a web process exited at boot: web then needs a restart. If `migrated` is False, raise the
        exit's HostProblem instead. From now on, tolerate no exit."""
        self.lenient, died = False, self.died
        self.died = None
        if died and not migrated:
            raise died
        return bool(died)
