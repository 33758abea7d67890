"""What visitors of the web hosts are answered while a release comes: as on hosts of one's own, by nginx's log."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..config import Fleet
from ..errors import HostProblem, Lost, Refused, on_hosts
from ..ssh.connections import Connections
from ..ssh.gather import gathered
from ..ssh.validate import Tell

ANSWER = 5  # seconds for an answer
PAUSE = 0.3  # seconds between two looks


@dataclass
class Gate:
    """Looks at all web hosts that can be reached. `tell` hears of the others."""

    fleet: Fleet
    tell: Tell
    hosts: Connections = field(init=False)

    def __post_init__(self) -> None:
        self.hosts = Connections(self.fleet, self.fleet.with_role("web"))

    async def __aenter__(self) -> "Gate":
        await self.hosts.__aenter__()
        with contextlib.suppress(Refused):
            for name, texts in (await self.hosts.reach()).items():
                self.tell({"event": "warning", "host": name, "text": f"its visitors are not watched: {texts[0]}"})
        await self.look()  # answers count from here on
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.hosts.__aexit__(*error)

    async def closed(self) -> HostProblem:
        """Wait until visitors are answered worse than before; why the release must go."""
        while True:
            if problem := await self.look():
                return problem
            await asyncio.sleep(PAUSE)

    async def smoke(self, site: Sequence[str]) -> None:
        """Ask each web host for the `smoke` paths. Raises HostProblem. `site`: its scheme and name."""
        wrong = (await gathered(self.hosts.hosts, lambda host: self.hosts.connections[host.name].ask(
            "smoke", paths=self.fleet.rollout["smoke"], asked=list(site))))[1]
        for name, problem in wrong.items():
            if isinstance(problem, Lost):
                self.tell({"event": "warning", "host": name, "text": f"its visitors are not watched: {problem}"})
                continue
            problem.host, problem.step = name, "update"
            raise problem

    async def look(self) -> HostProblem | None:
        """What is wrong with the answers by now."""
        found, lost = await gathered(self.hosts.hosts, lambda host: self.hosts.connections[host.name].ask(
            "gate", ANSWER, max_errors=self.fleet.rollout["max_errors"]))
        for name in lost:
            self.tell({"event": "warning", "host": name, "text": f"its visitors are not watched: {lost[name]}"})
        self.hosts.hosts = [host for host in self.hosts.hosts if host.name in found]
        wrong = {name: [one["problem"]] for name, one in found.items() if one["problem"]}
        return HostProblem(on_hosts(wrong)) if wrong else None
