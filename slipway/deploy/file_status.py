"""Asks hosts that have no release if their files, and their services' containers, are those of provisioning."""

from collections.abc import Sequence

from .config import Fleet, Host
from .rollout import preflight
from .ssh.connections import Connections
from .ssh.gather import Problems, gathered, texts


async def problems(fleet: Fleet, connections: Connections, hosts: Sequence[Host]) -> Problems:
    """Return host name → what is wrong there, or why it did not tell."""
    expected = {host.name: preflight.expected_files(fleet, host) for host in hosts}
    facts, unanswered = await gathered(
        hosts,
        lambda host: connections.connections[host.name].ask("facts", paths=[*expected[host.name]], history=False),
    )
    by_host = {
        name: [*preflight.file_problems(expected[name], each["files"]), *each["strangers"]]
        for name, each in facts.items()
    }
    return texts(unanswered) | {name: wrong for name, wrong in by_host.items() if wrong}
