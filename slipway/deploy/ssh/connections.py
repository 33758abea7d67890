"""Connections to several hosts at once, and their lock."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from ..agent.groups import Group
from ..agent.message_types import Facts
from ..config import Fleet, Host
from ..errors import DeployError, HostProblem, Lost, Refused, on_hosts
from ..log.errors import merge_groups
from . import child
from .connection import READ, Connection
from .conversation import Answer
from .gather import Problems, gather, gathered, on_each, texts
from .validate import Event, Tell, decoded

AT_ONCE = 100  # limit of connections being opened: by default sshd, as on a jump host, refuses more than 100
TAKEBACK = 240  # seconds for a takeback: two drains, a stop, a restart of processes that run in no slot
T = TypeVar("T")


@contextlib.contextmanager
def timed(tell: Tell, step: str, host: str) -> Iterator[None]:
    began = time.monotonic()
    state = "failed"
    tell({"event": "step", "step": step, "host": host, "state": "start"})
    try:
        yield
        state = "done"
    except asyncio.CancelledError:
        state = "stopped"
        raise
    finally:
        seconds = round(time.monotonic() - began, 3)
        tell({"event": "step", "step": step, "host": host, "state": state, "seconds": seconds})


@dataclass
class Connections:
    """Connections to many hosts. `hosts`: the hosts that have not failed so far. `tell` gets the hosts' events.
    `shared`: True if the connections must be able to forward ports."""

    fleet: Fleet
    hosts: list[Host]
    tell: Tell = lambda event: None
    shared: bool = False
    connections: dict[str, Connection] = field(default_factory=dict)
    shares: dict[str, str] = field(default_factory=dict)  # host name → socket of its shared connection
    locked: list[str] = field(default_factory=list)

    async def __aenter__(self) -> "Connections":
        if self.shared:
            import tempfile  # imported only here, because it loads slowly

            self.folder = tempfile.TemporaryDirectory(prefix="dep", dir="/tmp")  # a socket's path must be short
        return self

    async def __aexit__(self, *error: object) -> None:
        try:
            await gather(lambda name: self.connections[name].close(), self.connections)
        finally:
            if self.shared:
                self.folder.cleanup()

    # ---- before the lock ----

    async def connect(self, skip: bool = False) -> Problems:
        """Connect to all hosts; return host name → problems. With `skip`, tolerate unreachable hosts, except hosts
        that have a role without `overlap`. Raise Refused if no host is reached."""
        needed = {host.name for host in self.hosts if not skip or any(map(host.has, self.fleet.alone()))}
        problems = await self.reach()
        if not self.hosts:
            raise Refused(on_hosts(problems))
        for name in problems.keys() - needed:
            self.tell({"event": "skipped", "host": name, "problem": problems[name][0]})
        return {name: texts for name, texts in problems.items() if name in needed}

    async def reach(self) -> Problems:
        """Connect to AT_ONCE hosts at a time. Drop unreachable hosts from `hosts`; return their problems by name."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def open_(host: Host) -> None:
            async with gate:
                await self.connections[host.name].open()

        for number, host in enumerate(self.hosts):
            self.shares[host.name] = f"{self.folder.name}/{number}" if self.shared else ""
            self.connections[host.name] = Connection(
                host, self.fleet.ssh, self.fleet.app, partial(self._on_event, host.name), self.shares[host.name]
            )
        return (await self._each_that_can(open_))[1]

    async def facts(self, **args: Callable[[Host], Any]) -> tuple[dict[str, Facts], Problems]:
        """Ask hosts for facts; return facts and problems by host name. Functions in `args` compute the arguments."""
        return await self._each_that_can(
            lambda host: self.connections[host.name].ask("facts", **{key: value(host) for key, value in args.items()})
        )

    async def ask(self, do: str, timeout: float = READ, **args: Any) -> tuple[dict[str, Any], dict[str, HostProblem]]:
        """Send a request to all hosts; return answers and problems by host name."""
        return await self.ask_some(self.hosts, do, timeout, **args)

    async def ask_some(
        self, hosts: Sequence[Host], do: str, timeout: float = READ, **args: Any
    ) -> tuple[dict[str, Any], dict[str, HostProblem]]:
        """Send a request to some of the hosts; return answers and problems by host name."""
        return await gathered(hosts, lambda host: self.connections[host.name].ask(do, timeout, **args))

    async def errors(
        self, timeout: float = READ, since: float | None = None, **args: Any
    ) -> tuple[list[Group], dict[str, HostProblem], bool]:
        """Return the groups of errors of all hosts, problems by host name, and if any host knows when the live release
        began. If so, ask all a second time: a balancer, which has no release, answers for that time, and each host
        tells which of the new errors it had before."""
        answers, problems = await self.ask("errors", timeout, since=since, **args)
        times = {name: answer["since"] for name, answer in answers.items() if answer["since"] is not None}
        new = [group["id"] for group in merge_groups(answers) if not group["seen_before"]]
        if times and len(answers) > 1 and (new or len(times) < len(answers)):
            first = min(times.values())
            answers, problems = await gathered(
                self.hosts,
                lambda host: self.connections[host.name].ask(
                    "errors", timeout, since=times.get(host.name, first) if since is None else since, also=new, **args
                ),
            )
        return merge_groups(answers), problems, bool(times)

    async def _each_that_can(self, function: Callable[[Host], Awaitable[T]]) -> tuple[dict[str, T], Problems]:
        """Call the function for all hosts. Drop hosts that fail. Return results and problems by host name."""
        results, problems = await gathered(self.hosts, function)
        self.hosts = [host for host in self.hosts if host.name in results]
        return results, texts(problems)

    async def forward_port(self, port: int) -> dict[str, int]:
        """Forward a port of each host to this machine's `port`. Return host name → the host's port."""

        async def ask(host: Host) -> int:
            done = await child.run(self.fleet.ssh.forward(host.address, self.shares[host.name], port), timeout=30)
            if done.code:
                raise HostProblem(f"cannot forward a port: {decoded(done.err)}; set AllowTcpForwarding yes for sshd")
            return int(done.out)

        return await on_each(self.hosts, ask)

    async def lock(self, description: str, error: type[DeployError] = DeployError, bare: bool = False) -> None:
        """Lock the host whose name sorts first, then the others. So only one of two deployers of the same hosts gets
        any lock. Raise Locked or `error` on failure; then the caller must unlock the hosts in `locked`."""

        async def lock(host: Host) -> None:
            with timed(self.tell, "lock", host.name):
                await self.connections[host.name].lock(description, self.fleet.rollout["dead_after"], bare=bare)
            self.locked.append(host.name)

        hosts = sorted(self.hosts, key=lambda host: host.name)
        self.tell({"event": "group", "step": "lock", "hosts": [host.name for host in hosts]})
        await on_each(hosts[:1], lock, error)
        await on_each(hosts[1:], lock, error)

    async def take_back(self, cause: str, names: Sequence[str] | None = None) -> dict[str, Answer | None]:
        """Take back the changes on all locked hosts, or only on `names`. Return host → the agent's answer or None."""
        names = self.locked if names is None else names
        for name in names:
            self.connections[name].abort(cause=cause[:2000])
        self.tell({"event": "takeback", "hosts": list(names), "state": "start"})

        async def at_end(name: str) -> Answer | None:
            end = None
            with contextlib.suppress(Lost), timed(self.tell, "takeback", name):
                end = await self.connections[name].at_end(TAKEBACK)
                if end is None or end.get("attempt"):
                    raise Lost("not taken back")
            return end

        return await gather(at_end, names)

    async def release(self) -> None:
        await gather(lambda name: self.connections[name].end(), self.locked)

    def _on_event(self, name: str, event: Event) -> None:
        self.tell({**event, "host": name})


@contextlib.asynccontextmanager
async def locked(fleet: Fleet, hosts: Sequence[Host], what: str, bare: bool = False) -> AsyncIterator[Connections]:
    """Connect to the hosts, and lock them unless `what` is "". Anybody else who wants a lock sees `what`.
    Raise Locked or Refused if a host cannot be reached or locked. `bare`: the hosts may lack the app."""
    async with Connections(fleet, [*hosts]) as connections:
        if problems := await connections.reach():
            raise Refused(on_hosts(problems))
        if what:
            await connections.lock(what, Refused, bare)
        try:
            yield connections
        except DeployError:  # all hosts have finished, so unlock; not after an interrupt: hosts may still work
            await connections.release()
            raise
        await connections.release()
