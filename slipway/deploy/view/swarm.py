"""Watch Docker Swarm for the page: its hosts, and the app's services as a manager tells them."""

import asyncio
import time
from collections.abc import Iterator, Mapping

from ..config import Fleet, Host
from ..errors import Refused
from ..ssh.validate import first_line
from ..swarm import state
from ..swarm.manager import NAME, Manager
from .collect import Clock, Collector
from .watched import Answer, WatchedHost

EVERY = 15  # seconds between two questions to a manager, each over a connection of its own


class SwarmCollector(Collector):
    """Watches the hosts, and the services as if they were one more host, of the name NAME."""

    def __init__(self, fleet: Fleet, now: Clock = time.time) -> None:
        super().__init__(fleet, [*fleet.hosts, Host(NAME, "")], now)
        self.manager = Manager(fleet)

    async def _watch(self, watched: WatchedHost) -> None:
        if watched.host.name == NAME:
            await self._watch_services(watched)
        else:
            await super()._watch(watched)

    async def _watch_services(self, watched: WatchedHost) -> None:
        while True:
            try:
                watched.answers["swarm"] = Answer(await self.manager.state(), self.now())
            except Refused as error:
                watched.fail(first_line(str(error)))
            else:
                watched.problem = ""
                watched.complete = True
            await asyncio.sleep(EVERY)


def containers(watched: WatchedHost) -> Iterator[dict[str, str | None]]:
    """Yield what `slipway status` shows of each service."""
    if swarm := watched.value("swarm"):
        _, *rows = state.rows(swarm)
        for service, release, number, update in rows:
            words = [f"{number} containers", *([] if update in ("-", "completed") else [update])]
            yield {"role": service, "release": release, "slot": "-", "state": ", ".join(words), "since": None}


def releases(watched: Mapping[str, WatchedHost]) -> list[str]:
    """Return a line for each release that is kept for a rollback, the live one first."""
    swarm = watched[NAME].value("swarm")
    if swarm is None:
        return [f"unknown: {watched[NAME].problem}"]
    return [first_line(f"{release.tag}: {release.who}") for release in reversed(swarm.releases)]
