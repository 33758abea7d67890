"""The health of a rollout's hosts. The first sick host stops the running steps."""

import asyncio
from dataclasses import dataclass, field

from ..errors import HostProblem
from ..ssh.validate import Event, Tell


@dataclass
class Health:
    """Passes the hosts' events to `tell`, and keeps the problem of the first sick host."""

    tell: Tell
    alarm: asyncio.Event = field(default_factory=asyncio.Event)
    cause: HostProblem | None = None  # the problem of the first sick host

    def hear(self, event: Event) -> None:
        if event["event"] != "sick":
            return self.tell(event)
        problem = HostProblem(event["problem"], more=event["more"])
        problem.step, problem.host = "start" if event.get("step") == "start" else "watch", event["host"]
        self.tell({"event": "sick", "host": problem.host, "text": f"not healthy: {event['problem']}"})
        if not self.cause:
            self.cause = problem
            self.alarm.set()
