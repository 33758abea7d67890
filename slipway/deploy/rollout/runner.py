"""Runs the steps of a rollout on its hosts."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..config import Host
from ..errors import HostProblem
from ..ssh.connections import Connections, timed
from ..ssh.gather import gathered
from ..ssh.validate import Event
from .plan import Step


@dataclass
class Run:
    """Runs steps on a rollout's hosts in parallel. The first sick host stops the running steps."""

    hosts: Connections
    alarm: asyncio.Event = field(default_factory=asyncio.Event)
    cause: HostProblem | None = None  # the problem of the first sick host
    tried: dict[tuple[str, str], Any] = field(default_factory=dict)  # (step, host) → answer, of `try_step`

    def __post_init__(self) -> None:
        self.tell = self.hosts.tell
        self.hosts.tell = self.on_event

    def on_event(self, event: Event) -> None:
        if event["event"] != "sick":
            self.tell(event)
            return
        problem = HostProblem(event["problem"], details=event["details"])
        problem.step = "start" if event.get("step") == "start" else "watch"
        problem.host = event["host"]
        self.tell({"event": "sick", "host": problem.host, "text": f"not healthy: {event['problem']}"})
        if not self.cause:
            self.cause = problem
            self.alarm.set()

    async def steps(self, group: Sequence[Step]) -> dict[tuple[str, str], Any]:
        """Run steps in parallel; return {(step, host): answer}. Raise as soon as one fails or a host gets sick."""
        done: dict[tuple[str, str], asyncio.Task[Any]] = {}
        self._announce(group)
        try:
            async with asyncio.TaskGroup() as tasks:
                alarm = tasks.create_task(self._alarmed())
                for step in group:
                    done |= {(step.name, name): tasks.create_task(self._do(step, name)) for name in step.hosts}
                await asyncio.wait(done.values())
                alarm.cancel()
        except BaseExceptionGroup as failed:
            raise (self.cause or failed.exceptions[0]) from None
        return {key: task.result() for key, task in done.items()}

    def _announce(self, group: Sequence[Step]) -> None:
        for name in dict.fromkeys(step.name for step in group):
            steps = [step for step in group if step.name == name]
            roles = steps[0].args["roles"] if name == "start" else []
            self.hosts.tell(
                {
                    "event": "group",
                    "step": name,
                    "hosts": [host for step in steps for host in step.hosts],
                    "roles": roles,
                    "limit": steps[0].args.get("seconds", 0),
                }
            )

    async def _alarmed(self) -> None:
        await self.alarm.wait()
        assert self.cause  # noqa: S101  for types
        raise self.cause

    async def _do(self, step: Step, name: str) -> Any:
        if self.cause:  # a host got sick before this step: do not begin it
            raise self.cause
        with timed(self.hosts.tell, step.name, name):
            try:
                return await self._ask(step, name)
            except HostProblem as problem:
                problem.step = step.name
                problem.host = name
                raise

    async def _ask(self, step: Step, name: str) -> Any:
        return await self.hosts.connections[name].ask(step.name, step.limit, **step.args_for(name))

    async def try_step(self, step: Step) -> dict[str, HostProblem]:
        """Run a step on all its hosts, even if it fails on some. Return host name → problem."""

        async def do(host: Host) -> None:
            with timed(self.hosts.tell, step.name, host.name):
                self.tried[step.name, host.name] = await self._ask(step, host.name)

        self._announce([step])
        return (await gathered([host for host in self.hosts.hosts if host.name in step.hosts], do))[1]

    async def evidence(self, problem: HostProblem, ends: Mapping[str, Any], limit: float = 20) -> HostProblem:
        """Add the failed container's log to the problem, if the host answered the takeback. `ends`: host → answer."""
        if problem.details.get("log_of") and ends.get(problem.host):
            name, since, until = problem.details["log_of"]
            asked = self.hosts.connections[problem.host].ask("last_lines", limit, name=name, since=since, until=until)
            try:
                log = (await asked)["log"]
            except HostProblem as error:
                log = [f"(the log of {name} cannot be read: {error})"]
            problem.details = {**problem.details, "log": log or [f"({name} logged nothing)"]}
        return problem
