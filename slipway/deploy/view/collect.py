"""Asks the hosts again and again, over one connection each, and keeps their last answers."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..agent.traffic import Bucket
from ..config import Fleet, Host
from ..errors import HostProblem, Lost
from ..rollout import preflight
from ..server.site import ends_tls
from ..ssh.connection import Connection
from ..ssh.gather import together
from ..ssh.validate import brief

PULSE, ERRORS, FACTS = 5, 30, 60  # seconds between two questions of a kind
DEPLOY = 1  # instead of PULSE, while a deploy or rollback is under way
BACK = 1  # seconds between two looks at older lines of a log
DAY = 86_400
SEARCH = 10  # seconds that a search for errors may take on a host
NOT_ASKED = "not asked yet"
LIMIT = 70  # seconds to wait for an answer

Clock = Callable[[], float]


@dataclass
class Answer:
    """`at`: when it came, in seconds by this machine's clock."""

    value: Any
    at: float


@dataclass
class Seen:
    """All that a host has said. `problem`: why it does not answer, or ""; `since`: since when."""

    host: Host
    answers: dict[str, Answer] = field(default_factory=dict)  # request → the last answer
    failed: dict[str, str] = field(default_factory=dict)  # request → why it had no answer the last time
    buckets: dict[float, Bucket] = field(default_factory=dict)  # begin → visitors' answers
    complete: bool = False  # True once the buckets go back for a day
    problem: str = NOT_ASKED
    since: float = 0
    skew: float = 0  # seconds by which its clock is ahead of this machine's

    def value(self, request: str) -> Any:
        """Return the last answer, None if there is none."""
        answer = self.answers.get(request)
        return answer.value if answer else None

    def add(self, buckets: Sequence[Bucket], now: float) -> None:
        """Add visitors' answers, and drop those that are older than a day."""
        for bucket in buckets:
            whole = self.buckets.setdefault(bucket["at"], {"at": bucket["at"], "statuses": {}, "times": {}})
            for sums, counts in ((whole["statuses"], bucket["statuses"]), (whole["times"], bucket["times"])):
                for key, number in counts.items():
                    sums[key] = sums.get(key, 0) + number
        for at in [at for at in self.buckets if at < now - DAY - 60]:
            del self.buckets[at]


class Collector:
    """Watches all hosts at the same time. `seen`: host name → what it has said."""

    def __init__(self, fleet: Fleet, hosts: Sequence[Host], now: Clock = time.time) -> None:
        self.fleet, self.now = fleet, now
        self.seen = {host.name: Seen(host, since=now()) for host in hosts}
        self.looked = asyncio.Event()  # set once each host has answered, or has failed to

    async def watch(self) -> None:
        """Ask until cancelled."""
        await together(lambda name: self._watch(self.seen[name]), self.seen)

    async def _watch(self, seen: Seen) -> None:
        while True:
            connection = Connection(seen.host, self.fleet.ssh, self.fleet.app)
            try:
                await connection.open()
                await self._ask_on(connection, seen)
            except (HostProblem, OSError) as error:
                if not seen.problem or seen.problem == NOT_ASKED:
                    seen.since = self.now()
                seen.problem = brief(str(error)) or f"no answer within {LIMIT} s"
                self._look()
            finally:
                await connection.close()
            await asyncio.sleep(PULSE)

    def _look(self) -> None:
        if all(each.problem != NOT_ASKED for each in self.seen.values()):
            self.looked.set()

    async def _ask_on(self, connection: Connection, seen: Seen) -> None:
        """Ask over this connection until it fails."""
        place, before, due, state = None, None, dict.fromkeys(("facts", "errors", "traffic"), 0.0), ""
        while True:
            began = self.now()
            pulse = await connection.ask("pulse", LIMIT, place=place)
            seen.answers["pulse"] = Answer(pulse, self.now())
            seen.skew = pulse["now"] - (began + self.now()) / 2
            seen.add(pulse["traffic"]["buckets"], self.now())
            if place is None:
                before = pulse["traffic"]["place"]
                seen.buckets.clear()
                seen.complete = False
            place = pulse["traffic"]["place"]
            if pulse["state"] != state or began >= due["facts"]:
                state, due["facts"] = pulse["state"], began + FACTS
                await self._ask_slowly(connection, seen)
            if began >= due["errors"] and seen.host.roles:
                due["errors"] = began + ERRORS
                await self._ask(connection, seen, "errors", seconds=SEARCH)
            seen.problem = ""
            self._look()
            pause = DEPLOY if pulse["underway"] else PULSE
            while self.now() < began + pause:
                before = await self._look_back(connection, seen, before)
                await asyncio.sleep(BACK)

    async def _look_back(self, connection: Connection, seen: Seen, before: Any) -> Any:
        """Read older lines of the log, a little at a time. Return where to go on, None if a day is complete."""
        if before is None:
            seen.complete = True
            return None
        answer = await connection.ask("traffic", LIMIT, place=before, since=self.now() - DAY)
        seen.add(answer["buckets"], self.now())
        return answer["place"]

    async def _ask_slowly(self, connection: Connection, seen: Seen) -> None:
        host, fleet = seen.host, self.fleet
        if host.roles:
            await self._ask(connection, seen, "facts", paths=[*preflight.expected(fleet, host)], health=True)
        if host.services:
            await self._ask(connection, seen, "services")
        if host in fleet.backup_hosts:
            await self._ask(connection, seen, "backups")
        if ends_tls(fleet, host):
            await self._ask(connection, seen, "certificates")

    async def _ask(self, connection: Connection, seen: Seen, request: str, **args: Any) -> None:
        """Keep the answer, or why there is none. Raise Lost if the connection is lost."""
        try:
            value = await connection.ask(request, LIMIT, **args)
        except Lost:
            raise
        except HostProblem as problem:
            seen.answers.pop(request, None)
            seen.failed[request] = brief(str(problem))
        else:
            seen.answers[request] = Answer(value, self.now())
            seen.failed.pop(request, None)
