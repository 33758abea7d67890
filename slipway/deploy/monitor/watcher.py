"""Asks all hosts, again and again, and tells what becomes of the rules. A slow host holds up no other."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from ..rollout import hooks
from ..config import Fleet, Host
from ..errors import HostProblem
from ..ssh.connection import Connection
from ..ssh.gather import together
from ..ssh.validate import Tell, brief
from .rules import Rule, Rules, sickness, room, size

HOOK = 30  # seconds for a hook


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
        """Tell which alerts begin and end. A hook that fails is run again at the next look, and alerts keep their
        order."""
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
