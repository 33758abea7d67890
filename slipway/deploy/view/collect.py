"""Asks the hosts again and again, over one connection each, and keeps their last answers."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..config import Fleet, Host
from ..errors import HostProblem, Lost
from ..rollout import preflight
from ..server.files import by_units
from ..ssh.connection import Connection
from ..ssh.gather import gather
from ..ssh.validate import first_line
from . import problems
from .questions import slow_questions
from .watched import DAY, Answer, WatchedHost, name_of

PULSE, ERRORS, FACTS = 5, 30, 50  # seconds between two questions of a kind
ILL, STILL_ILL = 15, 30  # instead of FACTS, once something is wrong there, and while it stays so
DEPLOY = 1  # instead of PULSE, while a deploy or rollback is under way
BACK = 1  # seconds between two looks at older lines of a log
SEARCH = 30  # seconds that a search for errors may take on a host
REST = 50  # times as long as a search took passes until the next: a long journal does not cost a host a CPU
ILL_REST = 5  # instead of REST, while something is wrong there
LIMIT = 70  # seconds to wait for an answer

Clock = Callable[[], float]


class Collector:
    """Watches all hosts at the same time. `watched`: host name → what it has said."""

    def __init__(self, fleet: Fleet, hosts: Sequence[Host], now: Clock = time.time) -> None:
        self.fleet = fleet
        self.now = now
        self.watched = {host.name: WatchedHost(host, since=now()) for host in hosts}

    async def watch(self) -> None:
        """Ask until cancelled."""
        await gather(lambda work: work, [*(self._watch(each) for each in self.watched.values()), self._note()])

    async def _note(self) -> None:
        """Note since when each problem is there, also while nobody looks."""
        while True:
            by_host = problems.of_fleet(self.fleet, self.watched, self.now())
            for name, each in self.watched.items():
                each.note(by_host[name], self.now())
            await asyncio.sleep(PULSE)

    async def _watch(self, watched: WatchedHost) -> None:
        while True:
            connection = Connection(watched.host, self.fleet.ssh, self.fleet.app)
            try:
                await connection.open()
                await Questions(self.fleet, watched, connection, self.now).go_on()
            except (HostProblem, OSError) as error:
                watched.fail(first_line(str(error)) or f"no answer within {LIMIT} s")
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
    searched: float = 0  # when errors were searched
    took: float = 0  # seconds of that search
    pause: float = ILL  # until an ill host is asked for facts again
    last: float = 0  # when the last pulse was asked for

    async def go_on(self) -> None:
        """Ask until the connection fails."""
        while True:
            began = self.now()
            self.heed_clock(began)
            pulse = await self.pulse(began)
            await self.ask_what_is_due(pulse, began)
            self.watched.problem = ""
            while began <= self.now() < began + (DEPLOY if pulse["underway"] else PULSE):
                await self.look_back()
                await asyncio.sleep(BACK)

    def heed_clock(self, now: float) -> None:
        """If this machine's clock was set back, ask for all now: what is due by the old time would wait as long."""
        if now < self.last:
            self.due = dict.fromkeys(self.due, 0.0)
            self.searched = 0
        self.last = now

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
            self.due["errors"] = 0  # visitors met errors: look now which
        return pulse

    async def ask_what_is_due(self, pulse: Any, began: float) -> None:
        is_new_trouble = bool(self.watched.begins) and self.pause == ILL
        if pulse["state"] != self.state or began >= self.due["facts"] or is_new_trouble:
            self.state = pulse["state"]
            await self.ask_slowly()
            self.due["facts"] = began + self.until_facts()
        if pulse["underway"] and self.took > BACK:
            return  # the next pulse may tell of a takeback, and would wait for the search
        if by_units(self.fleet, self.watched.host) and began >= max(self.due["errors"], self.rested()):
            asked = self.now()
            await self.ask("errors", seconds=SEARCH)
            self.searched, self.took = began, self.now() - asked
            self.due["errors"] = began + ERRORS

    def rested(self) -> float:
        """Return when errors may be searched again. That a search failed is no reason to search more often."""
        failed = name_of(self.watched.failed.get("errors", ""))
        is_ill = any(name != failed for name in self.watched.begins)
        return self.searched + (ILL_REST if is_ill else REST) * self.took

    async def ask_slowly(self) -> None:
        host = self.watched.host
        for request in slow_questions(self.fleet, host):
            if request == "facts":
                await self.ask("facts", paths=[*preflight.expected_files(self.fleet, host)], health=True)
            else:
                await self.ask(request)

    def until_facts(self) -> float:
        """Return the seconds until the host is asked for facts again."""
        if not self.watched.begins and not problems.of_host(self.fleet, self.watched, self.now()):
            self.pause = ILL
            return FACTS
        pause, self.pause = self.pause, STILL_ILL
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
