"""Asks all hosts and places, again and again, and tells what becomes of the rules. A slow one holds up no other."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from ..config import Fleet, Host
from ..errors import HostProblem
from ..ssh.connection import Connection
from ..ssh.gather import together
from ..ssh.process import allow, in_thread
from ..ssh.validate import Tell, brief, visible
from .alerts import Alert, Alerts
from .hosts import AGES, ANSWERS, sample
from .measures import HERE, Memory, Reach, Reading, Sample, look, memory_of

Record = dict[str, Any]  # what a hook reads


class Watcher:
    """Watches these hosts of a fleet. `tell` hears of hosts that change, alerts, and each look; `live`: also of every
    answer. `send` is given each alert."""

    def __init__(self, fleet: Fleet, hosts: Sequence[Host], tell: Tell, live: bool = False,
                 send: Callable[[Record], None] = lambda alert: None) -> None:
        self.fleet, self.hosts, self.tell, self.live, self.send = fleet, hosts, tell, live, send
        self.now = asyncio.get_running_loop().time
        self.every, self.limit = fleet.watch["every"], fleet.watch["ttl"] / 2
        self.memory: Memory = memory_of(fleet, hosts, self.now())
        self.alerts = Alerts.of(fleet, hosts)
        self.readings: dict[str, Reading] = {rule.name: Reading(None) for rule in self.alerts.rules}
        self.connections: dict[str, Connection] = {}
        allow(len(hosts))

    async def watch(self) -> None:
        """Go on until this is cancelled."""
        again = [*(self._again(self._hear, host) for host in self.hosts),
                 *(self._again(self._reach, place) for place in self.memory.places), self._again(self._look, None)]
        await self._to_the_end(together(lambda work: work, again))

    async def once(self) -> bool:
        """Look twice, as a share of errors takes two; whether all rules are kept."""
        await self._to_the_end(self._twice())
        return not any(rule.broken(self.readings[rule.name].value) for rule in self.alerts.rules)

    async def _twice(self) -> None:
        await self._round()
        await asyncio.sleep(self.every)
        self.memory.up.clear()
        self.memory.reached.clear()
        await self._round()
        self.memory.began = -math.inf  # all had the time
        self.readings = look(self.memory, self.alerts.rules, self.now())
        self.tell(self.event())

    async def _round(self) -> None:
        await together(lambda work: work, [*map(self._hear, self.hosts), *map(self._reach, self.memory.places)])

    async def _to_the_end(self, work: Awaitable[object]) -> None:
        try:
            await work
        finally:
            await together(lambda name: self.connections[name].close(), self.connections)

    async def _again(self, function: Callable[[Any], Coroutine[Any, Any, None]], item: object) -> None:
        """Call it every `every` seconds; at once where it took longer."""
        while True:
            began = self.now()
            await function(item)
            await asyncio.sleep(max(0, began + self.every - self.now()))

    # ---- hosts ----

    async def _hear(self, host: Host) -> None:
        """Ask a host, and take what it says."""
        try:
            async with asyncio.timeout(self.limit):
                said = await self._ask(host)
        except (HostProblem, OSError) as problem:  # TimeoutError says nothing
            said = Sample(host.name, self.now(), brief(str(problem)) or f"no answer within {self.limit:g} s")
            if connection := self.connections.pop(host.name, None):
                await connection.close()
        before = self.memory.last.get(host.name)
        self.memory.hear(said)
        if before is None or before.problem != said.problem:
            self.tell({"event": "host", "host": host.name, "text": said.problem or "up"})
        self._show()

    async def _ask(self, host: Host) -> Sample:
        if host.name not in self.connections:
            self.connections[host.name] = Connection(host, self.fleet.ssh, self.fleet.app)
            await self.connections[host.name].open()
        connection = self.connections[host.name]
        facts = await connection.ask("facts", health=True, history=False, figures=[ANSWERS, AGES])
        return sample(host, self.now(), facts)

    # ---- places ----

    async def _reach(self, place: str) -> None:
        """Ask for the front page from a place."""
        from . import probes
        front = self.fleet.watch["front"]
        ask = (probes.from_here, front) if place == HERE else (probes.from_place, place, front)
        try:
            async with asyncio.timeout(self.limit):
                problem, ends = await in_thread(*ask, self.limit)
        except TimeoutError:
            problem, ends = f"no answer within {self.limit:g} s", None
        except Exception as error:  # whatever a page or an exporter makes of a look, the next one is made
            problem, ends = f"{type(error).__name__}: {error}", None
        problem, before = brief(problem), self.memory.asked.get(place)
        self.memory.reach(Reach(place, self.now(), problem, ends and self.now() + ends - time.time()))
        if before is None or before.problem != problem:
            self.tell({"event": "place", "host": place, "text": problem or f"reaches {front}"})
        self._show()

    # ---- rules ----

    async def _look(self, _: None) -> None:
        """Look at the rules, and tell what is to be told."""
        now = self.now()
        self.readings = look(self.memory, self.alerts.rules, now)
        for alert in self.alerts.look(self.readings, now):
            told = record(self.fleet.app, alert)
            self.tell({"event": "alert", **told})
            self.send(told)
        self.tell(self.event())

    def _show(self) -> None:
        if self.live:
            self.tell(self.event())

    def event(self) -> dict[str, object]:
        """How all stands, for a display."""
        now = self.now()
        hosts = {}
        for host in self.hosts:
            said, up = self.memory.last.get(host.name), self.memory.up.get(host.name)
            hosts[host.name] = {"problem": said.problem if said else "not asked yet", "free": said and said.free,
                                "seen": None if up is None else round(now - up, 1)}
        rules = {}
        for rule in self.alerts.rules:
            reading, state = self.readings[rule.name], self.alerts.states[rule.name]
            rules[rule.name] = {
                "value": finite(reading.value), "text": rule.says(reading.value), "alert": state.alert,
                "now": rule.words(reading.value), "limit": rule.bound, "kept": state.kept is not None,
                "broken": rule.broken(reading.value), "about": list(reading.about),
                "since": None if state.since is None else round(now - state.since, 1)}
        return {"event": "look", "hosts": hosts, "rules": rules}


def finite(value: float | None) -> float | None:
    """A value as JSON can have it."""
    return None if value is None or math.isinf(value) else round(value, 6)


def record(app: str, alert: Alert) -> Record:
    """An alert, as a hook reads it."""
    rule, about = alert.rule, list(alert.reading.about)
    word = "" if alert.state == "broken" else " is over"
    named = f": {', '.join(about)}" if about else ""
    return {"version": 1, "app": app, "rule": rule.name, "state": alert.state, "at": round(time.time(), 3),
            "severity": rule.severity, "value": finite(alert.reading.value), "limit": rule.limit, "hosts": about,
            "text": visible(f"{app}: {rule.name}{word}: {rule.says(alert.reading.value)}{named}")}


class Sender:
    """Runs a hook for each alert, one after the other: `run` says why it failed. One that fails is run again, after
    `pause` seconds, until it was run `tries` times."""

    def __init__(self, run: Callable[[Record], Awaitable[str]], warn: Callable[[str], None], tries: int = 3,
                 pause: float = 10) -> None:
        self.run, self.warn, self.tries, self.pause = run, warn, tries, pause
        self.waiting: asyncio.Queue[Record] = asyncio.Queue()

    async def send(self) -> None:
        """Go on until this is cancelled."""
        while True:
            alert = await self.waiting.get()
            for number in range(self.tries):
                if not (said := await self.run(alert)):
                    break
                self.warn(f"hooks.alert: {said}")
                await asyncio.sleep(self.pause if number + 1 < self.tries else 0)
