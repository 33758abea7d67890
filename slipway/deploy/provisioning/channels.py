"""The connections that provisioning uses: without a lock for --check, else each with its host's lock."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Protocol

from ..config import Fleet, Host
from ..config.ssh import Ssh
from ..errors import DeployError, HostProblem, Refused
from ..ssh.connection import run
from ..ssh.connections import Connections
from ..ssh.gather import on_each
from ..ssh.process import Done

PYTHON = "install python3"  # first, and by ssh alone, as the agent needs it
SCRIPT = "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y -o DPkg::Lock::Timeout=300 python3"
LONG = 1000  # seconds that it may take


class Channel(Protocol):
    """What pyinfra's connector needs of a Connection."""

    async def command(self, script: str, input: bytes = b"", timeout: float = 600) -> Done:
        """As Connection.command."""

    async def put(self, path: str, content: bytes, mode: int = 0o644, owner: str = "root",
                  group: str = "root") -> None:
        """As Connection.put."""


class WithoutPython:
    """A host on which no agent can run yet, for --check: each command is a connection of its own."""

    def __init__(self, host: Host, ssh: Ssh) -> None:
        self.host, self.ssh = host, ssh

    async def command(self, script: str, input: bytes = b"", timeout: float = 600) -> Done:
        """Run a shell script on the host as root; how it ended. Raises HostProblem."""
        return await run(self.host, self.ssh, ["sh", "-c", script], input, timeout)

    async def put(self, path: str, content: bytes, mode: int = 0o644, owner: str = "root", group: str = "root") -> None:
        """Refuse to write."""
        raise HostProblem(f"--check does not write {path}")


Channels = Mapping[str, Channel]  # by host name


@contextlib.asynccontextmanager
async def looking(fleet: Fleet, hosts: Sequence[Host], bare: Sequence[Host]) -> AsyncIterator[Channels]:
    """Channels without locks. `bare`: the hosts that have no Python. Raises Refused."""
    async with Connections(fleet, [host for host in hosts if host not in bare]) as connections:
        await connections.reach_all()
        yield {**connections.connections, **{host.name: WithoutPython(host, fleet.ssh) for host in bare}}


@contextlib.asynccontextmanager
async def locked(fleet: Fleet, hosts: Sequence[Host], bare: Sequence[Host], what: str,
                 announce: Callable[[str, str], None]) -> AsyncIterator[Channels]:
    """Channels with all hosts' locks, which `what` describes. The hosts with Python are locked before anything changes;
    then the `bare` ones get Python, which is announced, and are locked. Raises Locked, Refused, DeployError."""
    async def bring(host: Host) -> None:
        announce(host.name, PYTHON)
        await bring_python(host, fleet.ssh)
    async with (Connections(fleet, [host for host in hosts if host not in bare]) as first,
                Connections(fleet, [*bare]) as others):
        await first.reach_all()
        await first.lock(what, Refused, bare=True)
        await on_each(bare, bring, DeployError)
        await others.reach_all(DeployError)
        await others.lock(what, bare=True)
        try:
            yield {**first.connections, **others.connections}
        except DeployError:  # the work on all hosts has ended, which it has not after an interrupt
            await release(first, others)
            raise
        await release(first, others)


async def release(*both: Connections) -> None:
    """Give the locks back."""
    for connections in both:
        await connections.release()


async def bring_python(host: Host, ssh: Ssh) -> None:
    """Install python3 on a host. Raises HostProblem."""
    done = await run(host, ssh, ["sh", "-c", SCRIPT], timeout=LONG)
    if done.code:
        said = (done.err or done.out).decode(errors="replace").strip()
        raise HostProblem(f"{PYTHON}: {said[-1000:]}")
