"""Brings hosts without a release, such as one that was replaced, the settings, secrets and history of a host that has
one. They go from root to root, through the deployer, and are never shown."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from slipway import envfile

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
    """A host that has what a new one lacks: a release; or, while no host has one, settings. `tag`: the release's or "".
    `digests`: those that this tag had when it was deployed here. `names`: of its settings, for the next deploy."""

    host: Host
    connection: Connection
    tag: str
    digests: frozenset[str]
    names: frozenset[str]


def settled_of(hosts: Connections, facts: Mapping[str, Facts]) -> list[Settled]:
    """Return the hosts that have a release or settings."""
    settled = []
    for host in hosts.hosts:
        release = facts[host.name]["tag"]
        tag = release["tag"] if release else ""
        records = (record for record in facts[host.name]["history"] if record["tag"] == tag)
        digests = frozenset(digest for record in records if (digest := record.get("digest")))
        names = frozenset(facts[host.name]["names"])
        if release or names:
            settled.append(Settled(host, hosts.connections[host.name], tag, digests, names))
    return settled


def sources(settled: Sequence[Settled]) -> list[Settled]:
    """Return those from which new hosts take what they lack: with a release, or all while there is no release."""
    return [each for each in settled if each.tag] or [*settled]


def lacking(settled: Sequence[Settled]) -> dict[str, list[str]]:
    """Return a warning for each host without a release that has a part of the settings of the others, by host name."""
    names = frozenset[str]().union(*(each.names for each in settled))
    return {
        each.host.name: [
            f"lacks settings that other hosts have: {', '.join(sorted(names - each.names))}; if it needs them: slipway"
            f" env set --hosts {each.host.name}"
        ]
        for each in settled
        if not each.tag and names - each.names
    }


def other_image(settled: Sequence[Settled], tag: str, digest: str) -> list[str]:
    """Return a problem if the registry gives `tag` another image, `digest`, than it gave a host whose release it is."""
    return [
        f"tag {tag} is {digest} in the registry, but was {', '.join(sorted(each.digests))} when {each.host.name}"
        " got it: build again under a new tag"
        for each in settled
        if each.tag == tag and each.digests and digest not in each.digests
    ][:1]


async def ask_peers(peers: Connections) -> list[Settled]:
    """Connect to `peers`; return those that have a release or settings. Skip those that cannot be reached."""
    await peers.reach()
    return settled_of(peers, (await peers.facts(history=lambda host: False))[0])


def peers(fleet: Fleet, hosts: Sequence[Host]) -> Connections:
    """Return connections to the app's other hosts."""
    names = {host.name for host in hosts}
    return Connections(fleet, [host for host in fleet.app_hosts if host.name not in names])


def new_among(hosts: Sequence[Host], sources: Sequence[Settled]) -> list[Host]:
    """Return the hosts that take what they lack from `sources`."""
    names = {each.host.name for each in sources}
    return [host for host in hosts if sources and host.name not in names]


def source_for(host: Host, sources: Sequence[Settled]) -> Settled:
    return min(sources, key=lambda each: not {*each.host.roles} & {*host.roles})


async def unreadable(new: Sequence[Host], sources: Sequence[Settled]) -> list[str]:
    """Return a problem for each host whose settings the `new` ones need, and which this key may not read, say."""
    texts = []
    for source in {source_for(host, sources).host.name: source_for(host, sources) for host in new}.values():
        try:
            await source.connection.ask("read_settings")
        except HostProblem as problem:
            texts.append(f"{', '.join(host.name for host in new)}: {unread(source, problem)}")
    return texts


def unread(source: Settled, problem: HostProblem) -> str:
    return f"the settings of {source.host.name} cannot be read: {problem}"


async def bring(hosts: Connections, new: Sequence[Host], sources: Sequence[Settled], tag: str) -> None:
    """Stage a source's settings on each of the `new` hosts, for this deploy of `tag`, and let them inherit its history.
    What is staged there already wins."""

    async def equip(host: Host) -> None:
        source = source_for(host, sources)
        try:
            given: Settings = await source.connection.ask("read_settings", secrets=True)
        except HostProblem as problem:
            raise HostProblem(unread(source, problem)) from None
        path = f"/etc/default/{hosts.fleet.app}.env"
        current, following = staging.decode_settings(hosts, await staging.read_settings(hosts, host))
        own = current if following is None else following
        goes_live = given["staged"] if source.host in hosts.hosts or not source.tag else None
        base = given["settings"] if goes_live is None else goes_live
        text = next_settings(staging.decode(base, path), None, parse_settings(own, path), ())
        files = dict(given["secrets"])
        if source.tag:
            reverted = reverted_settings(given, goes_live) if source.tag == tag else given["settings"]
            await hosts.connections[host.name].ask("inherit", records=given["records"], files=files, reverted=reverted)
        if parse_settings(text, path) != parse_settings(own, path):
            hosts.tell({"event": "progress", "text": f"{host.name} gets the settings of {source.host.name}"})
            await hosts.connections[host.name].ask("stage", settings=encoded(text.encode()), files=files)
            await hosts.connections[host.name].ask("keep", files=[*files])

    await on_each(new, equip)


def reverted_settings(given: Settings, goes_live: str | None) -> str | None:
    """Return the settings to which a rollback will return on a host where the live release is deployed again, as
    `carried_settings` in agent/steps/commit.py: with the staged changes that go live there, `goes_live`."""
    if given["reverted"] is None or goes_live is None:
        return given["reverted"]
    reverted, old, new = (staging.decode(text, "APP.env") for text in (given["reverted"], given["settings"], goes_live))
    changes = envfile.difference(parse_settings(old, "APP.env"), parse_settings(new, "APP.env.next"))
    return encoded(envfile.changed(reverted, *changes).encode())
