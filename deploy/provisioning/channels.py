"""The connections over which provisioning works: to look, for --check; or each with its host's lock."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Protocol

from ..decide.config import Fleet, Host
from ..decide.ssh import Ssh
from ..errors import DeployError, HostProblem, Refused
from ..reach.connection import Connection, run
from ..reach.gather import first_alone, on_each, together
from ..reach.process import Done

PYTHON = "install python3"  # the agent's need, so this comes by ssh alone and before all else
SCRIPT = "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y -o DPkg::Lock::Timeout=300 python3"
LONG = 1000  # seconds that may take


class Channel(Protocol):
    """What pyinfra's connector asks of a Connection."""

    async def command(self, script: str, input: bytes = b"", timeout: float = 600) -> Done: ...

    async def put(self, path: str, content: bytes, mode: int = 0o644, owner: str = "root",
                  group: str = "root") -> None: ...


class WithoutPython:
    """A host on which no agent can run yet, for --check: each command is a connection of its own."""

    def __init__(self, host: Host, ssh: Ssh) -> None:
        self.host, self.ssh = host, ssh

    async def command(self, script: str, input: bytes = b"", timeout: float = 600) -> Done:
        return await run(self.host, self.ssh, ["sh", "-c", script], input, timeout)

    async def put(self, path: str, content: bytes, mode: int = 0o644, owner: str = "root", group: str = "root") -> None:
        raise HostProblem(f"--check does not write {path}")


Channels = Mapping[str, Channel]  # host name → how it is worked on


@contextlib.asynccontextmanager
async def looking(fleet: Fleet, ssh: Ssh, hosts: Sequence[Host], bare: Sequence[Host]) -> AsyncIterator[Channels]:
    """Channels without a lock. `bare`: those of the hosts that have no Python."""
    async with connections(fleet, ssh, [host for host in hosts if host not in bare]) as made:
        await on_each([host for host in hosts if host not in bare], lambda host: made[host.name].open())
        yield {**made, **{host.name: WithoutPython(host, ssh) for host in bare}}


@contextlib.asynccontextmanager
async def locked(fleet: Fleet, ssh: Ssh, hosts: Sequence[Host], bare: Sequence[Host], what: str,
                 announce: Callable[[str, str], None]) -> AsyncIterator[Channels]:
    """Channels with all hosts' locks; `what` they say of their holder. Nothing changes before those are locked that
    have Python; then the others get it."""
    async with connections(fleet, ssh, hosts) as made:
        async def reach(host: Host) -> None:
            if host in bare:
                announce(host.name, PYTHON)
                await bring_python(host, ssh)
            await made[host.name].open()

        async def lock(host: Host) -> None:
            await made[host.name].lock(what, fleet.rollout["dead_after"], bare=True)
        for some, error in ([host for host in hosts if host not in bare], Refused), (bare, DeployError):
            await on_each(some, reach, error)
            await first_alone(some, lock, error)
        try:
            yield made
        except DeployError:  # every host's work has ended; not so when it is interrupted
            await release(made)
            raise
        await release(made)


@contextlib.asynccontextmanager
async def connections(fleet: Fleet, ssh: Ssh, hosts: Sequence[Host]) -> AsyncIterator[dict[str, Connection]]:
    """A Connection to each, to be opened, and closed in the end."""
    made = {host.name: Connection(host, ssh, fleet.app) for host in hosts}
    try:
        yield made
    finally:
        await together(lambda connection: connection.close(), made.values())


async def release(made: Mapping[str, Connection]) -> None:
    """Give the locks back."""
    await together(lambda connection: connection.end(), made.values())


async def bring_python(host: Host, ssh: Ssh) -> None:
    done = await run(host, ssh, ["sh", "-c", SCRIPT], timeout=LONG)
    if done.code:
        said = (done.err or done.out).decode(errors="replace").strip()
        raise HostProblem(f"{PYTHON}: {said[-1000:]}")
