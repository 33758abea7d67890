"""The hosts of a command, over a connection each: all are reached, locked and asked at once."""

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from ..agent.answers import Facts, Resolved
from ..config import Fleet, Host
from ..errors import DeployError, HostProblem, Refused, on_hosts
from . import process
from .connection import Connection
from .conversation import Answer
from .gather import Problems, at_most, gathered, on_each, texts, together
from .validate import Event, Tell

AT_ONCE = 32  # connections that are being made: each needs CPU here to agree on keys, and has a minute
TAKEBACK = 240  # seconds that a takeback may take: two drains, a stop, and one of what runs alone
T = TypeVar("T")


@contextlib.contextmanager
def timed(tell: Tell, step: str, host: str) -> Iterator[None]:
    """Tell when a step begins, and how and after how many seconds it ends."""
    began, state = time.monotonic(), "failed"
    tell({"event": "step", "step": step, "host": host, "state": "start"})
    try:
        yield
        state = "done"
    finally:
        seconds = round(time.monotonic() - began, 3)
        tell({"event": "step", "step": step, "host": host, "state": state, "seconds": seconds})


@dataclass
class Connections:
    """`hosts` are those reached; `tell(event)` hears of everything; `shared`: connections can forward a port."""

    fleet: Fleet
    hosts: list[Host]
    tell: Tell = lambda event: None
    shared: bool = False
    connections: dict[str, Connection] = field(default_factory=dict)
    shares: dict[str, str] = field(default_factory=dict)  # host name → the socket by which its connection is shared
    locked: list[str] = field(default_factory=list)

    async def __aenter__(self) -> "Connections":
        if self.shared:
            import tempfile  # only here: it takes long to load
            self.folder = tempfile.TemporaryDirectory(prefix="dep", dir="/tmp")  # a socket's path must be short
        return self

    async def __aexit__(self, *error: object) -> None:
        try:
            await together(lambda name: self.connections[name].close(), self.connections)
        finally:
            if self.shared:
                self.folder.cleanup()

    # ---- before the lock ----

    async def connect(self, skip: bool = False) -> Problems:
        """Reach all hosts; host name → why one was not reached. With `skip`, hosts that can't be reached are left out,
        but not those where something runs alone. Raises Refused where no host was reached."""
        needed = {host.name for host in self.hosts if not skip or any(map(host.has, self.fleet.alone()))}
        problems = await self.reach()
        if not self.hosts:
            raise Refused(on_hosts(problems))
        for name in problems.keys() - needed:
            self.tell({"event": "skipped", "host": name, "problem": problems[name][0]})
        return {name: texts for name, texts in problems.items() if name in needed}

    async def reach(self) -> Problems:
        """Reach all hosts, AT_ONCE at a time; `hosts` then are those reached. Returns host name → why one was not."""
        for number, host in enumerate(self.hosts):
            self.shares[host.name] = f"{self.folder.name}/{number}" if self.shared else ""
            self.connections[host.name] = Connection(
                host, self.fleet.ssh, self.fleet.app, partial(self._hear, host.name), self.shares[host.name])
        return (await self._each_that_can("connect", lambda one: self.connections[one.name].open(), AT_ONCE))[1]

    async def reach_all(self) -> None:
        """Reach all hosts. Raises Refused with why a host was not reached."""
        if problems := await self.reach():
            raise Refused(on_hosts(problems))

    async def facts(self, **args: Callable[[Host], Any]) -> tuple[dict[str, Facts], Problems]:
        """(host name → facts, host name → why none); `hosts` keeps the first. `args`: name → function of a host."""
        return await self._each_that_can("facts", lambda host: self.connections[host.name].ask(
            "facts", **{key: value(host) for key, value in args.items()}))

    async def _each_that_can(self, step: str, function: Callable[[Host], Awaitable[T]], many: int = 0) -> tuple[
            dict[str, T], Problems]:
        """(host name → result, host name → problem), of so `many` at a time (0: all); `hosts` then have no problem."""
        found, problems = await gathered(self.hosts, at_most(many or len(self.hosts), function))
        self.hosts = [host for host in self.hosts if host.name in found]
        return found, texts(problems)

    async def forward_port(self, port: int) -> dict[str, int]:
        """Let all hosts reach our port, at 127.0.0.1; host name → the port there. Raises Refused."""
        async def ask(host: Host) -> int:
            done = await process.run(self.fleet.ssh.forward(host.address, self.shares[host.name], port), timeout=30)
            if done.code:
                said = done.err.decode(errors="replace").strip()
                raise HostProblem(f"cannot forward a port: {said}; sshd must allow AllowTcpForwarding")
            return int(done.out)
        return await on_each(self.hosts, ask)

    async def resolve(self, name: str, **args: Any) -> Resolved:
        """The digest of a tag, as a host finds it in the registry. Raises HostProblem."""
        found: Resolved = await self.connections[name].ask("resolve", 90, **args)
        return found

    async def lock(self, description: str, error: type[DeployError] = DeployError, bare: bool = False) -> None:
        """Take the locks of all hosts, the first by name before the others': it decides between deployers. `bare` is
        Connection.lock's. Raises Locked, or `error`; who hears it gives back what is `locked`."""
        async def lock(host: Host) -> None:
            with timed(self.tell, "lock", host.name):
                await self.connections[host.name].lock(description, self.fleet.rollout["dead_after"], bare=bare)
            self.locked.append(host.name)
        hosts = sorted(self.hosts, key=lambda host: host.name)
        await on_each(hosts[:1], lock, error)
        await on_each(hosts[1:], lock, error)

    async def take_back(self, cause: str, names: Sequence[str] | None = None) -> dict[str, Answer | None]:
        """Tell all locked hosts, or these, to take back what was done; host name → its LockEnd, None where unknown."""
        names = self.locked if names is None else names
        for name in names:
            self.connections[name].abort(cause=cause[:2000])
        self.tell({"event": "takeback", "hosts": list(names), "state": "start"})
        return await together(lambda name: self.connections[name].at_end(TAKEBACK), names)

    async def release(self) -> None:
        """Give the locks back."""
        await together(lambda name: self.connections[name].end(), self.locked)

    def _hear(self, name: str, event: Event) -> None:
        self.tell({**event, "host": name})
