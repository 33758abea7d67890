"""Runs the steps of a rollout on its hosts, all at once, and reports the one that failed."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..config import Host
from ..errors import HostProblem, under
from ..ssh.connections import Connections, timed
from ..ssh.gather import gathered
from .health import Health
from .plan import Step


@dataclass
class Run:
    """The hosts of a rollout, as its steps are done. Their events go to `health`."""

    hosts: Connections
    health: Health

    def __post_init__(self) -> None:
        self.hosts.tell = self.health.hear

    async def steps(self, group: Sequence[Step]) -> dict[tuple[str, str], Any]:
        """Do the steps of a group at the same time; {(step, host): answer}. Raises the HostProblem of the first failure
        or of an alarm, with its step and host, without waiting for the others."""
        done: dict[tuple[str, str], asyncio.Task[Any]] = {}
        try:
            async with asyncio.TaskGroup() as tasks:
                alarm = tasks.create_task(self._alarmed())
                for step in group:
                    done |= {(step.name, name): tasks.create_task(self._do(step, name)) for name in step.hosts}
                await asyncio.wait(done.values())
                alarm.cancel()
        except BaseExceptionGroup as failed:
            first: BaseException = failed.exceptions[0]
            asked = getattr(first, "step", "") == "verdicts"  # of a release that has ended before
            alarmed = self.health.cause if self.health.cause in failed.exceptions else None
            raise (alarmed or asked and self.health.died or first) from None
        return {key: task.result() for key, task in done.items()}

    async def _alarmed(self) -> None:
        await self.health.alarm.wait()
        assert self.health.cause
        raise self.health.cause

    async def _do(self, step: Step, name: str) -> Any:
        if self.health.cause:  # the alarm came between two steps: this one would be sent before it is cancelled
            raise self.health.cause
        with timed(self.hosts.tell, step.name, name):
            try:
                return await self._ask(step, name)
            except HostProblem as problem:
                problem.step, problem.host = step.name, name
                raise

    async def _ask(self, step: Step, name: str) -> Any:
        return await self.hosts.connections[name].ask(step.name, step.limit, **step.args_for(name))

    async def try_step(self, step: Step) -> dict[str, HostProblem]:
        """Do a step on all its hosts, whatever fails; host name → problem, Lost where nobody knows."""
        async def do(host: Host) -> None:
            with timed(self.hosts.tell, step.name, host.name):
                await self._ask(step, host.name)
        return (await gathered([host for host in self.hosts.hosts if host.name in step.hosts], do))[1]

    async def evidence(self, problem: HostProblem, ends: Mapping[str, Any]) -> HostProblem:
        """The problem with the log of its container, if any: read when `ends`, the takeback's, are here."""
        if problem.more.get("log_of") and ends.get(problem.host):
            name, since = problem.more["log_of"]
            try:
                log = (await self.hosts.connections[problem.host].ask("said", 20, name=name, since=since))["log"]
            except HostProblem as error:
                log = [f"(the log of {name} cannot be read: {error})"]
            problem.more = {**problem.more, "log": log or [f"({name} has logged nothing)"]}
        return problem


def report(problem: HostProblem) -> str:
    """The text for a step that failed: host, step and problem, what the app answered, its log's last lines."""
    lines = [f"{problem.host}: {problem.step}: {str(problem)[:2000]}"]
    if problem.more.get("body"):
        lines.append(f"  it answered: {problem.more['body'].strip()[:500]}")
    return "\n".join(map(under, lines + [f"  | {line[:2000]}" for line in problem.more.get("log", ())[-50:]]))
