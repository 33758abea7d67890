"""The connection to one of the swarm's managers, whichever answers: all know the same."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..agent.answers import SwarmFacts
from ..config import Fleet, Host
from ..errors import HostProblem, Refused, on_hosts
from ..ssh.connection import Connection
from ..ssh.validate import Event, Tell
from . import nodes

NAME = "swarm"  # what events call it instead of a host


@dataclass
class Manager:
    """An open connection, and what its host has told of the app."""

    host: Host
    connection: Connection
    facts: SwarmFacts


@dataclass
class Managers:
    """Reaches managers. `tell(event)` hears of what their agents do."""

    fleet: Fleet
    tell: Tell = lambda event: None
    stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def __aenter__(self) -> "Managers":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stack.aclose()

    async def first(self) -> Manager:
        """The first that answers. Raises Refused with why each did not."""
        return await self._first(nodes.managers(self.fleet))

    async def last(self, host: Host) -> Manager:
        """The first that answers; this one is asked last. Raises Refused."""
        return await self._first(sorted(nodes.managers(self.fleet), key=lambda one: one == host))

    async def _first(self, hosts: Sequence[Host]) -> Manager:
        problems = {}
        for host in hosts:
            try:
                return await self.open(host)
            except HostProblem as problem:
                problems[host.name] = list(problem.args)
        raise Refused(on_hosts(problems))

    async def open(self, host: Host) -> Manager:
        """A connection to that one. Raises HostProblem."""
        connection = Connection(host, self.fleet.ssh, self.fleet.app, self._hear)
        await connection.open()
        self.stack.push_async_callback(connection.close)
        return Manager(host, connection, await connection.ask("swarm_facts"))

    def _hear(self, event: Event) -> None:
        self.tell({**event, "host": NAME})
