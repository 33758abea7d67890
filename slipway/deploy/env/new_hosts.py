"""Brings hosts without a release, such as one that was replaced, the settings and secrets of a host that has one. They
go from root to root, through the deployer, and are never shown."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..agent.message_types import Facts
from ..agent.staging import Settings
from ..config import Fleet, Host
from ..errors import HostProblem
from ..ssh.connection import Connection, encoded
from ..ssh.connections import Connections
from ..ssh.gather import on_each
from . import staging
from .changes import next_settings, parse_settings


class Settled(NamedTuple):
    """A host with a release. `tag`: the release's. `digests`: those that this tag had when it was deployed here."""

    host: Host
    connection: Connection
    tag: str
    digests: frozenset[str]


def with_release(hosts: Connections, facts: Mapping[str, Facts]) -> list[Settled]:
    settled = []
    for host in hosts.hosts:
        if release := facts[host.name]["tag"]:
            records = (record for record in facts[host.name]["history"] if record["tag"] == release["tag"])
            digests = frozenset(digest for record in records if (digest := record.get("digest")))
            settled.append(Settled(host, hosts.connections[host.name], release["tag"], digests))
    return settled


def other_image(settled: Sequence[Settled], tag: str, digest: str) -> list[str]:
    """Return a problem if the registry gives `tag` another image, `digest`, than it gave a host whose release it is."""
    return [
        f"tag {tag} is {digest} in the registry, but was {', '.join(sorted(each.digests))} when {each.host.name}"
        " got it: build again under a new tag"
        for each in settled
        if each.tag == tag and each.digests and digest not in each.digests
    ][:1]


async def ask_peers(peers: Connections) -> list[Settled]:
    """Connect to `peers`; return those that have a release. Skip those that cannot be reached."""
    await peers.reach()
    return with_release(peers, (await peers.facts(history=lambda host: False))[0])


def peers(fleet: Fleet, hosts: Sequence[Host]) -> Connections:
    """Return connections to the app's other hosts."""
    names = {host.name for host in hosts}
    return Connections(fleet, [host for host in fleet.app_hosts if host.name not in names])


async def bring(hosts: Connections, new: Sequence[Host], sources: Sequence[Settled]) -> None:
    """Stage a source's settings on each of the `new` hosts, for this deploy. What is staged there already wins."""

    async def stage(host: Host) -> None:
        source = min(sources, key=lambda each: not {*each.host.roles} & {*host.roles})
        try:
            given: Settings = await source.connection.ask("read_settings", secrets=True)
        except HostProblem as problem:
            raise HostProblem(f"the settings of {source.host.name} cannot be read: {problem}") from None
        path = f"/etc/default/{hosts.fleet.app}.env"
        current, following = staging.decode_settings(hosts, await staging.read_settings(hosts, host))
        own = current if following is None else following
        goes_live = given["staged"] if source.host in hosts.hosts else None
        base = given["settings"] if goes_live is None else goes_live
        text = next_settings(staging.decode(base, path), None, parse_settings(own, path), ())
        if parse_settings(text, path) != parse_settings(own, path):
            hosts.tell({"event": "progress", "text": f"{host.name} gets the settings of {source.host.name}"})
            files = dict(given["secrets"])
            await hosts.connections[host.name].ask("stage", settings=encoded(text.encode()), files=files)
            await hosts.connections[host.name].ask("keep", files=[*files])

    await on_each(new, stage)
