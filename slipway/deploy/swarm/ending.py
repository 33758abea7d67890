"""How a deploy to a swarm that did not go through ends: taken back by its manager, or by another one."""

import asyncio
from dataclasses import dataclass

from ..agent.answers import SwarmFacts
from ..errors import DeployError, Divided, HostProblem, Interrupted, Locked, Lost, Refused
from ..rollout.plan import STEP_KINDS, Step
from ..ssh.connection import who
from ..ssh.validate import Event, Tell
from .goal import live
from .manager import NAME, Manager, Managers

TAKEBACK = 400  # seconds: the old release's containers may have to start
ELSEWHERE = 90  # seconds until the others know that a manager is down
AGAIN = 2


@dataclass
class Ending:
    """Ends the attempt of that `id`, which `manager` works at."""

    managers: Managers
    manager: Manager
    id: str
    tell: Tell
    changed: bool = False
    failed: str = ""

    def at(self, step: Step) -> None:
        """A step begins."""
        self.changed = self.changed or not STEP_KINDS[step.name].harmless

    def hear(self, event: Event) -> None:
        """Note what of a takeback fails."""
        if event.get("event") == "takeback" and event.get("problem"):
            self.failed = str(event["problem"])
        self.tell(event)

    async def after(self, error: BaseException) -> BaseException | None:
        """Have all go back; the error that then is to be told, None where the release is live after all."""
        if isinstance(error, Locked):
            return error
        self.manager.connection.abort(cause=str(error)[:2000])
        self.tell({"event": "takeback", "hosts": [NAME], "state": "start"})
        fate = await self.here() or await self.elsewhere()
        if fate == "committed":
            self.tell({"event": "committed", "host": NAME, "text": f"has committed, though {error}"})
            return None
        if self.failed and fate == "back":
            return Divided(f"{error}\ntaken back, but not whole: {self.failed}; see make status, then deploy again")
        if fate == "unknown":
            why = f": {self.failed}" if self.failed else ""
            return Divided(f"{error}\nnobody could settle it{why}; see make status; the next deploy or rollback does it"
                           " first")
        if isinstance(error, Lost):
            error = DeployError(f"{self.manager.host.name}: {error}")
        if isinstance(error, (Refused, Interrupted)) or not isinstance(error, DeployError):
            return error
        return DeployError(f"{error}\n{'taken back' if self.changed else 'nothing was changed'}:"
                           f" {self.serving()}")

    def serving(self) -> str:
        """What visitors get then."""
        now = live(self.manager.facts)
        return f"{now['tag']} serves everywhere" if now else "no release is live yet, as before"

    async def here(self) -> str:
        """What became of the attempt by its own manager's word; "" where it has none."""
        try:
            await self.manager.connection.at_end(TAKEBACK)
            facts: SwarmFacts = await self.manager.connection.ask("swarm_facts")
        except HostProblem:
            return ""
        return "" if facts["attempt"] == self.id else self.fate(facts)

    async def elsewhere(self) -> str:
        """Settle the attempt through another manager, once the swarm sees that this one is gone: "committed", "back",
        or "unknown" where nobody can."""
        now = asyncio.get_running_loop().time
        silent, at_last = now() + ELSEWHERE, now() + TAKEBACK
        while now() < min(silent, at_last):
            try:
                if fate := await self.settled():
                    return fate
                silent = now() + ELSEWHERE  # somebody answers: the host may still settle it itself
            except HostProblem as problem:
                silent = now() + ELSEWHERE if problem.locked else silent
            except Refused:
                pass  # a swarm without a leader answers nobody for some seconds
            await asyncio.sleep(AGAIN)
        return "unknown"

    async def settled(self) -> str:
        """What became of the attempt; "" where it is still open. Raises HostProblem, Refused."""
        other = await self.managers.last(self.manager.host)
        try:
            if other.facts["attempt"] != self.id:
                return self.fate(other.facts)
            await other.connection.lock(who("settling a deploy"), 30, swarm=True)
            free = (await other.connection.ask("swarm_ended", TAKEBACK))["free"]
            await other.connection.end()
            return self.fate(await other.connection.ask("swarm_facts")) if free else ""
        finally:
            await other.connection.close()

    def fate(self, facts: SwarmFacts) -> str:
        """By the records, which have no more to come."""
        done = any(record.get("id") == self.id and record["outcome"] == "committed" for record in facts["records"])
        return "committed" if done else "back"
