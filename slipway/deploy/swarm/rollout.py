"""A deploy or rollback on a swarm from beginning to end: looks, decides, does, and takes back when it goes wrong."""

import asyncio
import contextlib
import os
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from ..agent.swarm.steps import LOCKED
from ..config import Fleet
from ..engine import proxy
from ..engine.workloads import Release
from ..errors import DeployError, HostProblem, Locked, Lost, Refused
from ..rollout import hooks, source, images, migrations
from ..rollout.hooks import HookRecord
from ..rollout.plan import Options, Step, Target
from ..ssh.connection import who
from ..ssh.connections import report
from ..ssh.interrupts import heeded, ignored
from ..ssh.validate import Tell
from . import nodes, goal
from .ending import Ending
from .gate import Gate
from .manager import NAME, Manager, Managers
from .plan import plan, steps
from .stack import stack

GATED = ("update", "watch")  # steps while which visitors may meet the release


@dataclass
class SwarmRollout:
    """A deploy or a rollback (`action`) that is asked for. A rollback without a `tag` goes to the release before."""

    fleet: Fleet
    tell: Tell
    action: str
    tag: str = ""
    options: Options = Options()
    id: str = field(default_factory=lambda: os.urandom(6).hex())

    async def plan(self) -> list[tuple[Step, ...]]:
        """The groups of steps that would be done. Nothing is changed. Raises Refused."""
        async with Managers(self.fleet, self.tell) as managers:
            await self._release(await managers.first())
            return plan(self.fleet, self.action, self.options)

    async def run(self) -> None:
        """Do it. Raises Refused, Locked, DeployError when it was taken back, Divided."""
        began = time.monotonic()
        with ignored():
            async with Managers(self.fleet, self.tell) as managers:
                with heeded():
                    manager = await self._manager(managers)
                    release = await self._release(manager)
                    record = self._record(release)
                    await hooks.run(self.fleet.hooks["before"], record, must=True)
                seconds = await hooks.around(self.fleet.hooks, record, began, self._do(managers, manager, release))
                self.tell({"event": "result", "outcome": "committed", "action": self.action, "tag": release.tag,
                           "seconds": seconds, "text": f"{release.tag} is live on the swarm ({seconds:.1f} s)"})

    # ---- deciding ----

    async def _manager(self, managers: Managers) -> Manager:
        """The manager to work through: where a deploy was left unfinished, the one that knows of it, if it is there."""
        manager = await managers.first()
        holder = manager.facts["holder"]
        for host in nodes.managers(self.fleet) if holder not in ("", manager.facts["node"]) else ():
            with contextlib.suppress(HostProblem):
                other = await managers.open(host)
                if other.facts["node"] == holder:
                    return other
        return manager

    async def _release(self, manager: Manager) -> Release:
        """The release to bring. Raises Refused with all that is in its way."""
        facts = manager.facts
        if problems := goal.problems(self.fleet, facts):
            raise Refused("\n".join(problems))
        if self.action == "rollback":
            return goal.back(facts, self.tag)
        try:
            found = await manager.connection.ask("resolve", 90, image=self.fleet.image, tag=self.tag)
        except HostProblem as problem:
            raise Refused(f"on {manager.host.name}: {problem}") from None
        if text := images.foreign(f"{self.fleet.image}:{self.tag}", found, {facts["arch"]}):
            raise Refused(text)
        return Release(self.tag, found["digest"])

    def _record(self, release: Release) -> HookRecord:
        return {"version": 1, "id": self.id, "app": self.fleet.app, "action": self.action, "tag": release.tag,
                "digest": release.digest, "who": who(f"{self.action} {release.tag}"),
                "hosts": [host.name for host in self.fleet.app_hosts]}

    # ---- doing ----

    async def _do(self, managers: Managers, manager: Manager, release: Release) -> None:
        """Lock, step after step, and at the first failure all back."""
        ending = Ending(managers, manager, self.id, self.tell)
        managers.tell = ending.hear
        judged: dict[str, Any] = {}
        try:
            with heeded():
                await self._lock(manager, release)
                async with Gate(self.fleet, self.tell) as gate:
                    for step in steps(self.fleet, self.action, self.options):
                        if not migrations.needed((step,), judged):
                            continue
                        ending.at(step)
                        found = await self._step(manager, step, self._args(manager, step, release), gate)
                        judged = found if step.name == "verdicts" else judged
                        await self._check(manager, step, release, found)
                        if step.args.get("part") == "web":
                            await gate.smoke(manager.facts["site"])
        except BaseException as error:
            if raised := await ending.after(told(error) if isinstance(error, HostProblem) else error):
                raise raised from None
        else:
            await manager.connection.end()

    async def _check(self, manager: Manager, step: Step, release: Release, found: Any) -> None:
        """Look at what the agent has answered. Raises Refused where the release must not go on."""
        answers, target = {(step.name, NAME): found}, Target(self.action, release.tag, release.digest)
        await source.check(answers, target, self.options.allow_dirty, self.tell)
        migrations.check(answers, self.action, self.options.allow_incompatible)

    async def _lock(self, manager: Manager, release: Release) -> None:
        """Take the lock of the manager's host; that of the swarm comes with `begin`. Raises Locked, DeployError."""
        try:
            await manager.connection.lock(who(f"{self.action} {release.tag}"), self.fleet.rollout["dead_after"],
                                          swarm=True)
        except HostProblem as problem:
            raise (Locked if problem.locked else DeployError)(f"on {manager.host.name}: {problem}") from None

    def _args(self, manager: Manager, step: Step, release: Release) -> dict[str, Any]:
        """What the agent is told with a step."""
        if step.name != "begin":
            return step.args
        facts = manager.facts
        noted = {"id": self.id, "action": self.action, "tag": release.tag, "digest": release.digest,
                 "who": who(f"{self.action} {release.tag}"), "settings": facts["settings"]}
        made = stack(self.fleet, release, self.id, facts["settings"], facts["files"])
        back = self.action == "rollback"
        return {"noted": noted, "stack": None if back else made, "proxy": "" if back else proxy.config(self.fleet),
                "live": str(now.get("id") or "") if (now := goal.live(facts)) else ""}

    async def _step(self, manager: Manager, step: Step, args: dict[str, Any], gate: Gate) -> Any:
        """What the agent answers. Raises HostProblem, also where visitors are answered worse meanwhile."""
        began, state = time.monotonic(), "failed"
        self.tell({"event": "step", "step": step.name, "host": NAME, "state": "start"})
        try:
            asked = manager.connection.ask(f"swarm_{step.name}", step.limit, **args)
            found = await (before(asked, gate.closed()) if step.name in GATED else asked)
            state = "done"
            return found
        except HostProblem as problem:
            problem.host, problem.step = problem.host or NAME, problem.step or step.name
            raise
        finally:
            self.tell({"event": "step", "step": step.name, "host": NAME, "state": state,
                       "seconds": round(time.monotonic() - began, 3)})


def told(problem: HostProblem) -> Exception:
    """A problem of a step, as its user reads it; Lost stays what it is."""
    if problem.step == "begin" and str(problem).startswith(LOCKED):
        return Locked(f"swarm: {problem}")
    return problem if isinstance(problem, Lost) else DeployError(report(problem))


async def before(work: Coroutine[Any, Any, Any], alarm: Coroutine[Any, Any, HostProblem]) -> Any:
    """What the work returns. Raises what the alarm returns, if that comes first."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(alarm)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise tasks[1].result()
        return tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
