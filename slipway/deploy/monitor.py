"""Asks hosts again and again how they are, and tells what the rules make of it."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from .agent.certificates import expiring_lines
from .agent.groups import headline
from .agent.message_types import Facts
from .backup_status import problems
from .config import Fleet, Host
from .errors import HostProblem
from .rollout import hooks
from .rollout.drift import EMPTY, is_running
from .server import backups
from .server.site import ends_tls
from .service_status import outage_texts
from .ssh.connection import Connection
from .ssh.gather import gather
from .ssh.validate import Tell, first_line
from .watch_rules import Rule, Rules

MOST = 5  # new errors that are told at a time
RECENT = 600  # seconds in which errors are searched, so that none is missed while a host does not answer
HOOK = 30  # seconds that a hook may take
WELL = ("ready", "consuming", "paused")  # good values of `health`; "paused": the old worker during a deploy
SIZES = {"k": 2**10, "m": 2**20, "g": 2**30}


def first_problem(host: Host, facts: Facts) -> str:
    """Return the host's first problem, or ""."""
    slot = facts["slots"].get(facts["live"] or "", EMPTY)
    for role in (role for role in host.roles if role not in facts["timed"]):
        unit: Any = facts["alone"].get(role) or slot["units"].get(role) or {}
        if not is_running(unit):
            return f"{role} is {unit.get('state') or 'missing'}"
        if (health := unit.get("health", "ready")) not in WELL:
            return f"{role}: {health}"
    return facts["blind"] or "".join(facts["strangers"][:1])


def least_free_bytes(facts: Facts) -> int | None:
    """Return the free bytes of the fullest disk, None if unknown. /run does not count: it is memory."""
    return min((free for path, free in facts["free"].items() if path != "/run"), default=None)


def parse_size(text: str) -> int:
    """Turn a size such as "2g" into bytes."""
    return int(text[:-1]) * SIZES[text[-1]] if text[-1] in SIZES else int(text)


class Watcher:
    """Watches all hosts at the same time. `tell` gets an event when a host's problem or an alert changes."""

    def __init__(self, fleet: Fleet, hosts: Sequence[Host], tell: Tell, fronts: Sequence[Host] = ()) -> None:
        self.fleet = fleet
        self.hosts = hosts
        self.tell = tell
        self.now = asyncio.get_running_loop().time
        watch = fleet.watch
        self.every, self.limit = watch["ttl"] / 3, watch["ttl"] / 2  # seconds between checks; seconds for an answer
        self.rules = Rules(
            [host.name for host in hosts], watch["hosts_up"], parse_size(watch["disk"]), watch["ttl"], self.now()
        )
        self.fronts = [host for host in fronts if ends_tls(fleet, host)]
        self.servers = [host for host in fleet.hosts if host.services and (host in hosts or not host.roles)]
        self.keepers = [host for host in fleet.backup_hosts if host in hosts or host in self.servers]
        self.connections: dict[str, Connection] = {}
        self.alerted: set[str] = set()  # ids of groups of errors
        self.unsearched: dict[str, tuple[float, str]] = {}  # host → since when its errors are unknown, and why
        self.waiting: deque[dict[str, Any]] = deque()  # alerts that the hook has not received

    async def watch(self) -> None:
        again = [
            *(self._repeat(partial(self._visit, host)) for host in self.hosts),
            self._repeat(self._report_alerts),
            *(self._repeat(partial(self._ask_certificates, host)) for host in self.fronts if host not in self.hosts),
            *(self._repeat(partial(self._ask_data, host)) for host in self.servers if host not in self.hosts),
        ]
        await self._to_the_end(gather(lambda work: work, again))

    async def once(self) -> bool:
        """Check each host once. Return True if enough hosts are up and no disk is too full."""
        self.rules.began = -math.inf  # a host is up only if it says so now
        await self._to_the_end(self._ask_once())
        rules = list(self.rules.states(self.now()))
        for rule in rules:
            self.tell({"event": "rule", **self._record("broken" if rule.broken else "kept", rule)})
        return not any(rule.broken for rule in rules)

    async def _ask_once(self) -> None:
        await gather(self._ask_facts, self.hosts)
        await gather(self._ask_certificates, self.fronts)
        await gather(self._ask_data, dict.fromkeys([*self.servers, *self.keepers]))

    async def _to_the_end(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        finally:
            await gather(lambda name: self.connections[name].close(), self.connections)

    async def _repeat(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            began = self.now()
            await function()
            await asyncio.sleep(max(0, began + self.every - self.now()))

    # ---- hosts ----

    async def _visit(self, host: Host) -> None:
        await self._ask_facts(host)
        if self.fleet.watch["errors"]:
            await self._search_errors(host)
        if host in self.fronts and host.name in self.connections:
            await self._ask_certificates(host)
        if host.name in self.connections:
            await self._ask_data(host)

    async def _ask_facts(self, host: Host) -> None:
        free = None
        try:
            facts = await self._ask(host, "facts", health=True, history=False, blind=True)
            problem = first_line(first_problem(host, facts))
            free = least_free_bytes(facts)
        except (HostProblem, OSError) as error:  # a TimeoutError is an OSError with an empty text
            problem = first_line(str(error)) or f"no answer within {self.limit:g} s"
        if self.rules.note_host(host.name, problem, self.now(), free):
            self.tell({"event": "host", "host": host.name, "text": problem or "up"})

    async def _ask_certificates(self, host: Host) -> None:
        try:
            served = await self._ask(host, "certificates")
            self.rules.ending[host.name] = expiring_lines(
                served["ends"], served["now"], self.fleet.watch["certificates"]
            )
        except (HostProblem, OSError):  # what the host said before stands
            if host not in self.hosts:  # no other rule tells of it
                self.rules.ending.setdefault(host.name, ["unknown, as a host does not answer"])

    async def _ask_data(self, host: Host) -> None:
        """Ask a host for its services and backups, if it has some."""
        try:
            if host in self.servers:
                answer = await self._ask(host, "services")
                self.rules.note_services(host.name, outage_texts(host.services, answer["services"]), self.now())
            if host in self.keepers:
                answer = await self._ask(host, "backups")
                actions = backups.actions(self.fleet, host)
                self.rules.backups[host.name] = [*problems(answer, actions, self.fleet.watch["backup"])]
        except (HostProblem, OSError) as error:
            if not host.roles:  # no other rule tells of a host with services alone
                text = first_line(str(error)) or f"no answer within {self.limit:g} s"
                self.rules.note_services(host.name, [text], self.now())

    async def _ask(self, host: Host, do: str, **args: bool) -> Any:
        """Return a host's answer. Raise HostProblem, or an OSError without a text after `limit` seconds; then the next
        call connects anew."""
        try:
            async with asyncio.timeout(self.limit):
                if host.name not in self.connections:
                    self.connections[host.name] = Connection(host, self.fleet.ssh, self.fleet.app)
                    await self.connections[host.name].open()
                return await self.connections[host.name].ask(do, **args)
        except (HostProblem, OSError):
            if connection := self.connections.pop(host.name, None):
                await connection.close()
            raise

    async def _search_errors(self, host: Host) -> None:
        """Begin an alert for each new group of errors, once. Of a host that cannot tell them, tell why, and begin an
        alert once errors may be missed for good."""
        if host.name not in self.connections:  # that is told already
            return
        try:
            answer = await self.connections[host.name].ask("errors", self.every, since=-RECENT, seconds=self.every / 2)
        except HostProblem as problem:
            self._note_unsearched(host.name, f"errors are unknown: {first_line(str(problem))}")
            return
        self.unsearched.pop(host.name, None)
        new = [group for group in answer["groups"] if not group["seen_before"] and group["id"] not in self.alerted]
        for group in new[:MOST]:  # those beyond are told when they come again
            self.alerted.add(group["id"])
            text = f"new error: {headline(group)}: slipway errors {group['id']}"
            self._alert("broken", Rule("errors", True, (host.name,), text))

    def _note_unsearched(self, host: str, text: str) -> None:
        since, before = self.unsearched.get(host, (self.now(), ""))
        if text != before:
            self.tell({"event": "host", "host": host, "text": text})
        if self.now() - since >= RECENT:
            since = math.inf  # one alert is enough
            self._alert("broken", Rule("errors", True, (host,), text))
        self.unsearched[host] = since, text

    # ---- rules ----

    async def _report_alerts(self) -> None:
        """Report alerts that begin or end, and run the hook `alert` for each, again at the next call if it fails."""
        for state, rule in self.rules.changes(self.now()):
            self._alert(state, rule)
        while command := self.waiting and self.fleet.hooks["alert"]:
            if failure := await hooks.failure(command, self.waiting[0], HOOK):
                self.tell({"event": "warning", "text": f"hooks.alert: {failure}: it will be run again"})
                return
            self.waiting.popleft()
        self.waiting.clear()  # no hook is set, so nothing receives the alerts

    def _alert(self, state: str, rule: Rule) -> None:
        alert = self._record(state, rule)
        self.tell({"event": "alert", **alert})
        self.waiting.append(alert)

    def _record(self, state: str, rule: Rule) -> dict[str, Any]:
        about = f": {', '.join(rule.hosts)}" if rule.hosts else ""
        word = " is over" if state == "over" else ""
        return {
            "version": 2,
            "app": self.fleet.app,
            "rule": rule.name,
            "state": state,
            "at": round(time.time(), 3),
            "hosts": list(rule.hosts),
            "text": f"{self.fleet.app}: {rule.name}{word}: {rule.text}{about}",
        }
