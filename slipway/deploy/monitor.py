"""Whether enough of a fleet is up and has room: the rules, by the caller's clock, and who asks all hosts, again and
again, and tells what becomes of the rules. A slow host holds up no other."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from .agent.answers import Facts
from .config import Fleet, Host
from .errors import HostProblem
from .rollout import hooks
from .rollout.drift import EMPTY, running
from .rollout.preflight import mega
from .ssh.connection import Connection
from .ssh.gather import together
from .ssh.validate import Tell, brief

HOOK = 30  # seconds for a hook
WELL = ("ready", "consuming", "paused")  # a deploy pauses a worker that is about to go
SIZES = {"k": 2**10, "m": 2**20, "g": 2**30}
CALM = 5  # times ttl: so long must a rule be kept on end until its alert is over


class Rule(NamedTuple):
    """How a rule stands: the hosts by which it is broken, or would be, and what there is to say of it."""

    name: str
    broken: bool
    hosts: tuple[str, ...]
    text: str


@dataclass
class Rules:
    """What was heard of these hosts since `began`, and which rules have an alert. `share`: of hosts that must be up;
    `room`: bytes that must be free; `ttl`: seconds for which a host counts as up after it was."""

    hosts: Sequence[str]
    share: float
    room: int
    ttl: float
    began: float
    problems: dict[str, str] = field(default_factory=dict)  # host → why it is not up, by its last word
    up: dict[str, float] = field(default_factory=dict)  # host → when it last was
    free: dict[str, int] = field(default_factory=dict)  # host → the least bytes of its disks; of one that died its last
    alerts: dict[str, float] = field(default_factory=dict)  # rule with an alert → when it was last broken

    def hear(self, host: str, problem: str, now: float, free: int | None = None) -> bool:
        """Take what a host has said; whether that differs from its word before."""
        before = self.problems.get(host)
        self.problems[host] = problem
        if not problem:
            self.up[host] = now
        if free is not None:
            self.free[host] = free
        return before != problem

    def at_once(self) -> Iterator[Rule]:
        """All rules by the last words alone."""
        return self._stand(tuple(host for host in self.hosts if self.problems.get(host, "silent")))

    def _stand(self, dark: tuple[str, ...]) -> Iterator[Rule]:
        up, full = len(self.hosts) - len(dark), tuple(host for host, free in self.free.items() if free < self.room)
        yield Rule("hosts_up", up / len(self.hosts) < self.share, dark,
                   f"{up} of {len(self.hosts)} hosts up, the limit is {self.share * 100:g} %")
        if self.free:
            yield Rule("disk", bool(full), full, f"{mega(min(self.free.values()))} of disk free, the limit is"
                                                 f" {mega(self.room)}")

    def changes(self, now: float) -> Iterator[tuple[str, Rule]]:
        """Yield ("broken" or "over", rule) as alerts begin or end. A host that was not up for ttl is dark."""
        for rule in self._stand(tuple(host for host in self.hosts if now - self.up.get(host, self.began) > self.ttl)):
            if rule.broken:
                if rule.name not in self.alerts:
                    yield "broken", rule
                self.alerts[rule.name] = now
            elif now - self.alerts.get(rule.name, now) >= CALM * self.ttl:
                del self.alerts[rule.name]
                yield "over", rule


def sickness(host: Host, facts: Facts) -> str:
    """What of a host does not run, or not well, in a few words; "": all of it does."""
    slot = facts["slots"].get(facts["live"] or "", EMPTY)
    for role in host.roles:
        unit: Any = facts["alone"].get(role) or slot["units"].get(role) or {}
        if not running(unit):
            return f"{role} is {unit.get('state') or 'not there'}"
        if (health := unit.get("health", "ready")) not in WELL:
            return f"{role}: {health}"
    return facts["blind"]


def room(facts: Facts) -> int | None:
    """The least bytes that a disk of a host has free; /run is memory."""
    return min((free for path, free in facts["free"].items() if path != "/run"), default=None)


def size(text: str) -> int:
    """Bytes of a size such as 2g."""
    return int(text[:-1]) * SIZES[text[-1]] if text[-1] in SIZES else int(text)


class Watcher:
    """Watches these hosts of a fleet; `tell` hears of hosts that change, and of rules."""

    def __init__(self, fleet: Fleet, hosts: Sequence[Host], tell: Tell) -> None:
        self.fleet, self.hosts, self.tell = fleet, hosts, tell
        self.now, watch = asyncio.get_running_loop().time, fleet.watch
        self.every, self.limit = watch["ttl"] / 3, watch["ttl"] / 2  # seconds between two looks, and for an answer
        self.rules = Rules([host.name for host in hosts], watch["hosts_up"], size(watch["disk"]), watch["ttl"],
                           self.now())
        self.connections: dict[str, Connection] = {}
        self.waiting: deque[dict[str, Any]] = deque()  # alerts of which the hook has not heard

    async def watch(self) -> None:
        """Go on until this is cancelled."""
        again = [*(self._again(partial(self._hear, host)) for host in self.hosts), self._again(self._look)]
        await self._to_the_end(together(lambda work: work, again))

    async def once(self) -> bool:
        """Ask each host once; whether all rules are kept."""
        await self._to_the_end(together(self._hear, self.hosts))
        rules = list(self.rules.at_once())
        for rule in rules:
            self.tell({"event": "rule", **self._record("broken" if rule.broken else "kept", rule)})
        return not any(rule.broken for rule in rules)

    async def _to_the_end(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        finally:
            await together(lambda name: self.connections[name].close(), self.connections)

    async def _again(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Call it every `every` seconds; at once where it took longer."""
        while True:
            began = self.now()
            await function()
            await asyncio.sleep(max(0, began + self.every - self.now()))

    # ---- hosts ----

    async def _hear(self, host: Host) -> None:
        """Ask a host, and take what it says."""
        free = None
        try:
            async with asyncio.timeout(self.limit):
                facts = await (await self._connection(host)).ask("facts", health=True, history=False, blind=True)
            problem, free = brief(sickness(host, facts)), room(facts)
        except (HostProblem, OSError) as error:  # TimeoutError says nothing
            problem = brief(str(error)) or f"no answer within {self.limit:g} s"
            if connection := self.connections.pop(host.name, None):
                await connection.close()
        if self.rules.hear(host.name, problem, self.now(), free):
            self.tell({"event": "host", "host": host.name, "text": problem or "up"})

    async def _connection(self, host: Host) -> Connection:
        if host.name not in self.connections:
            self.connections[host.name] = Connection(host, self.fleet.ssh, self.fleet.app)
            await self.connections[host.name].open()
        return self.connections[host.name]

    # ---- rules ----

    async def _look(self) -> None:
        """Tell which alerts begin and end. After a failed hook the rest waits for the next look, in order."""
        for state, rule in self.rules.changes(self.now()):
            alert = self._record(state, rule)
            self.tell({"event": "alert", **alert})
            self.waiting.append(alert)
        while command := self.waiting and self.fleet.hooks["alert"]:
            if said := await hooks.failure(command, self.waiting[0], HOOK):
                return self.tell({"event": "warning", "text": f"hooks.alert: {said}: it is run again"})
            self.waiting.popleft()
        self.waiting.clear()  # nobody is to hear of them

    def _record(self, state: str, rule: Rule) -> dict[str, Any]:
        """A rule, as a hook reads it."""
        about, word = f": {', '.join(rule.hosts)}" * bool(rule.hosts), " is over" * (state == "over")
        return {"version": 2, "app": self.fleet.app, "rule": rule.name, "state": state, "at": round(time.time(), 3),
                "hosts": list(rule.hosts), "text": f"{self.fleet.app}: {rule.name}{word}: {rule.text}{about}"}
