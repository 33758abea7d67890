"""The commit of a deploy: all hosts promise, all commit; or all go back. A host whose answer is lost then may go either
way by itself, so it is asked over another connection, and told, while that is still open: see docs/design.md."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from ..agent.answers import Fate
from ..errors import DeployError, Divided, HostProblem, Lost, on_hosts
from ..ssh.connection import Connection
from ..ssh.connections import TAKEBACK
from ..ssh.gather import together
from .plan import Step
from .run import Run

OPEN = ("promised", "open")
FINAL = ("committed", "back", "stuck")
LATE = 5  # seconds that a host may be later than it should
PAUSE = 0.5
Fates = dict[str, str | None]  # host name → "committed", "back", "stuck" or "promised", "open"; None: not known


def goes_forward(fates: Mapping[str, str | None], sick: Collection[str] = ()) -> bool:
    """Which way all should go, by what is known of each host: where one has committed, forward; where one is back or
    goes there, or any is `sick`, back. One that nothing is known of counts for neither."""
    known = set(fates.values())
    return "committed" in known or not sick and not known & {"open", "back"}


def outcome(fates: Fates, failed: Mapping[str, HostProblem], tag: str) -> DeployError | None:
    """The error that says how it ended, from what Commit.decide returns; None where all have committed."""
    known = set(fates.values())
    if known == {"committed"}:
        return None
    cause = on_hosts({name: [str(problem)] for name, problem in failed.items()})
    if known == {"back"}:
        return DeployError(f"{cause}\ntaken back: every host is as it was")
    words = {"committed": f"on {tag}", "back": "on the release before", "stuck": "not whole, for the next deploy or"
             " rollback to settle", None: f"can't be asked; on {tag} or on the release before"}
    lines = [f"{', '.join(name for name in fates if fates[name] == fate)}: {text}"
             for fate, text in words.items() if fate in known]
    may = "" if {"committed", "back"} <= known else "may "
    return Divided("\n".join([cause, *lines, f"hosts {may}differ: see make status, then deploy {tag} again, or roll"
                                             " back"]))


@dataclass
class Commit:
    """Brings prepared hosts to one release. `id`: of the attempt; `seconds`: until a silent host decides by itself."""

    run: Run
    id: str
    seconds: float

    async def decide(self, promise: Step, commit: Step) -> tuple[Fates, dict[str, HostProblem]]:
        """Return (host name → "committed", "back", "stuck" or None if unknown; host name → what went wrong). Hosts that
        answer wait: they are told last, when it is known which way the others have gone."""
        failed = await self.run.try_step(promise)
        lost = [name for name, problem in failed.items() if isinstance(problem, Lost)]
        fates: Fates = {name: "open" if name in failed else "promised" for name in promise.hosts}
        fates.update(await self.learn(lost))
        sick = self.sick()
        on = goes_forward(fates, sick)
        fates.update(await self.learn([name for name in lost if fates[name] in OPEN], on))
        on = "committed" in fates.values() or on and "back" not in fates.values()
        there = [name for name in promise.hosts if name not in lost]
        if on:
            failed = {**failed, **await self.forward(replace(commit, hosts=tuple(there)), fates)}
        else:
            failed = {**sick, **failed}
            fates.update(await self.back(there, failed))
        return fates, failed

    def sick(self) -> dict[str, HostProblem]:
        """host name → what is amiss with the first that is not well: who has promised leaves it to us."""
        cause = self.run.health.cause
        return {cause.host: HostProblem(f"not healthy: {cause}")} if cause else {}

    async def forward(self, step: Step, fates: Fates) -> dict[str, HostProblem]:
        """From here on only forward; what went wrong on the way."""
        failed = await self.run.try_step(step)
        await self.run.hosts.release()
        fates.update({name: "committed" for name in step.hosts}, **await self.learn(failed, True))
        return failed

    async def back(self, names: list[str], failed: Mapping[str, HostProblem]) -> Fates:
        """host name → its fate, when those that answer are told to go back. Each is asked which way it went: one whose
        agent has died before it heard that has committed, as it had promised."""
        cause = "; ".join(f"{name}: {problem}" for name, problem in failed.items())
        await self.run.hosts.take_back(cause, names)
        return await self.learn(names, False, cause)

    async def learn(self, names: Iterable[str], on: bool | None = None, cause: str = "") -> Fates:
        """host name → what becomes of each, asked anew; `on`: whether it shall go forward, if that is still open."""
        return await together(lambda name: self._learn(name, on, cause), names)

    async def _learn(self, name: str, on: bool | None, cause: str) -> str | None:
        now = asyncio.get_running_loop().time
        until = now() + self.seconds + LATE
        settled = until + TAKEBACK
        while True:
            fate = await self._ask(name, on, cause)
            if fate in FINAL or on is None and fate in OPEN:
                return fate
            if now() > (settled if fate else until):
                return None
            await asyncio.sleep(PAUSE)

    async def _ask(self, name: str, on: bool | None, cause: str) -> str | None:
        hosts = self.run.hosts
        host = next(host for host in hosts.hosts if host.name == name)
        connection = Connection(host, hosts.fleet.ssh, hosts.fleet.app)
        try:
            await connection.open(15)
            decided: Fate = await connection.ask("decide", 15, id=self.id, forward=on, cause=cause[:2000])
            return decided["fate"]
        except (HostProblem, OSError):  # of many connections that broke at once, descriptors may not be back yet
            return None
        finally:
            await connection.close()
