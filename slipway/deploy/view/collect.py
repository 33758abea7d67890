"""Asks the hosts again and again, over one connection each, and keeps their last answers."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..agent import traffic
from ..agent.traffic import Bucket
from ..config import Fleet, Host
from ..errors import HostProblem, Lost
from ..rollout import drift, preflight
from ..server.files import by_units
from ..server.site import ends_tls
from ..ssh.connection import Connection
from ..ssh.gather import gather
from ..ssh.validate import first_line

PULSE, ERRORS, FACTS = 5, 30, 60  # seconds between two questions of a kind
ILL = 15  # instead of FACTS, once something is wrong there, as it may soon be well; then twice that, up to FACTS
DEPLOY = 1  # instead of PULSE, while a deploy or rollback is under way
BACK = 1  # seconds between two looks at older lines of a log
DAY = 86_400
SEARCH = 30  # seconds that a search for errors may take on a host
REST = 50  # times as long as a search took passes until the next: a long journal does not cost a host a CPU
NOT_ASKED = "not asked yet"
LIMIT = 70  # seconds to wait for an answer

Clock = Callable[[], float]


@dataclass
class Answer:
    """`at`: when it came, in seconds by this machine's clock."""

    value: Any
    at: float


@dataclass
class WatchedHost:
    """All that a host has said. `problem`: why it does not answer, or ""; `since`: since when."""

    host: Host
    answers: dict[str, Answer] = field(default_factory=dict)  # request → the last answer
    failed: dict[str, str] = field(default_factory=dict)  # request → why it had no answer the last time
    buckets: dict[float, Bucket] = field(default_factory=dict)  # begin → visitors' answers
    complete: bool = False  # True once the buckets go back for a day
    problem: str = NOT_ASKED
    since: float = 0
    closed: set[float] = field(default_factory=set)  # times since when visitors got the maintenance page
    skew: float = 0  # seconds by which its clock is ahead of this machine's

    def value(self, request: str) -> Any:
        """Return the last answer, None if there is none."""
        answer = self.answers.get(request)
        return answer.value if answer else None

    def add(self, buckets: Sequence[Bucket], now: float) -> None:
        """Add visitors' answers, and drop those that are older than a day."""
        traffic.add_buckets(self.buckets, buckets)
        for at in [at for at in self.buckets if at < now - DAY - 60]:
            del self.buckets[at]

    def fail(self, problem: str, now: float) -> None:
        """Note why it does not answer."""
        if self.problem in ("", NOT_ASKED):
            self.since = now
        self.problem = problem


class Collector:
    """Watches all hosts at the same time. `watched`: host name → what it has said."""

    def __init__(self, fleet: Fleet, hosts: Sequence[Host], now: Clock = time.time) -> None:
        self.fleet = fleet
        self.now = now
        self.watched = {host.name: WatchedHost(host, since=now()) for host in hosts}

    async def watch(self) -> None:
        """Ask until cancelled."""
        await gather(lambda name: self._watch(self.watched[name]), self.watched)

    async def _watch(self, watched: WatchedHost) -> None:
        while True:
            connection = Connection(watched.host, self.fleet.ssh, self.fleet.app)
            try:
                await connection.open()
                await Questions(self.fleet, watched, connection, self.now).go_on()
            except (HostProblem, OSError) as error:
                watched.fail(first_line(str(error)) or f"no answer within {LIMIT} s", self.now())
            finally:
                await connection.close()
            await asyncio.sleep(PULSE)


@dataclass
class Questions:
    """The questions to one host over one connection."""

    fleet: Fleet
    watched: WatchedHost
    connection: Connection
    now: Clock
    newest: Any = None  # the place in the log up to which visitors are counted
    oldest: Any = None  # the place before which they are still to be counted; None: nowhere
    state: str = ""
    due: dict[str, float] = field(default_factory=lambda: {"facts": 0, "errors": 0})
    rested: float = 0  # when errors may be searched again
    pause: float = ILL  # until an ill host is asked for facts again

    async def go_on(self) -> None:
        """Ask until the connection fails."""
        while True:
            began = self.now()
            pulse = await self.pulse(began)
            await self.ask_what_is_due(pulse["state"], began)
            self.watched.problem = ""
            while self.now() < began + (DEPLOY if pulse["underway"] else PULSE):
                await self.look_back()
                await asyncio.sleep(BACK)

    async def pulse(self, began: float) -> Any:
        pulse = await self.connection.ask("pulse", LIMIT, place=self.newest)
        self.watched.answers["pulse"] = Answer(pulse, self.now())
        self.watched.skew = pulse["now"] - (began + self.now()) / 2
        if self.newest is None:
            self.oldest = pulse["traffic"]["place"]
            self.watched.buckets.clear()
            self.watched.complete = False
        self.newest = pulse["traffic"]["place"]
        if pulse["closed"]:
            self.watched.closed.add(pulse["closed"] // 60 * 60)  # the hosts' own seconds would be a mark each
        buckets = pulse["traffic"]["buckets"]
        self.watched.add(buckets, self.now())
        if any("5" in bucket["statuses"] for bucket in buckets):
            self.due["errors"] = self.rested  # visitors met errors: look now which
        return pulse

    async def ask_what_is_due(self, state: str, began: float) -> None:
        if state != self.state or began >= self.due["facts"]:
            self.state = state
            await self.ask_slowly()
            self.due["facts"] = began + self.until_facts()
        if by_units(self.fleet, self.watched.host) and began >= self.due["errors"]:
            asked = self.now()
            await self.ask("errors", seconds=SEARCH)
            self.rested = began + REST * (self.now() - asked)
            self.due["errors"] = max(self.rested, began + ERRORS)

    async def ask_slowly(self) -> None:
        host = self.watched.host
        fleet = self.fleet
        if by_units(fleet, host):
            await self.ask("facts", paths=[*preflight.expected_digests(fleet, host)], health=True)
            if host.has("web"):
                await self.ask("celery")
        if host.services:
            await self.ask("services")
        if host in fleet.backup_hosts:
            await self.ask("backups")
        if ends_tls(fleet, host):
            await self.ask("certificates")

    def until_facts(self) -> float:
        """Return the seconds until the host is asked for facts again."""
        host = self.watched.host
        facts = self.watched.value("facts")
        if not facts or not drift.problems(self.fleet, [host], {host.name: facts}):
            self.pause = ILL
            return FACTS
        pause = self.pause
        self.pause = min(2 * self.pause, FACTS)
        return pause

    async def look_back(self) -> None:
        """Read older lines of the log, a little at a time."""
        if self.oldest is None:
            self.watched.complete = True
            return
        answer = await self.connection.ask("traffic", LIMIT, place=self.oldest, since=self.now() - DAY)
        self.watched.add(answer["buckets"], self.now())
        self.oldest = answer["place"]

    async def ask(self, request: str, **args: Any) -> None:
        """Keep the answer, or why there is none. Raise Lost if the connection is lost."""
        try:
            value = await self.connection.ask(request, LIMIT, **args)
        except Lost:
            raise
        except HostProblem as problem:
            self.watched.answers.pop(request, None)
            self.watched.failed[request] = first_line(str(problem))
        else:
            self.watched.answers[request] = Answer(value, self.now())
            self.watched.failed.pop(request, None)
