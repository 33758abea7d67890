"""Finds the release to deploy or roll back to."""

import contextlib
import os
from dataclasses import dataclass
from typing import Any

from ..agent.host import lines_of
from ..agent.images import Resolved
from ..agent.message_types import Facts, Record, Release
from ..config import Fleet
from ..errors import HostProblem, Refused, on_hosts
from ..ssh.child import in_thread
from ..ssh.connections import Connections
from ..ssh.gather import gathered, texts
from . import images, preflight
from .local_image import LocalImage, image_of_digest, local_image
from .plan import Target
from .preflight import AllFacts


def serves(fleet: Fleet, action: str) -> bool:
    return fleet.registry == "ssh" and action == "deploy"


@dataclass
class Targeting:
    """Finds the Target: the release to run. With `registry = "ssh"`, serves a deploy's image until `stack` closes."""

    fleet: Fleet
    action: str
    tag: str
    hosts: Connections
    stack: contextlib.AsyncExitStack
    allow_dirty: bool = False

    async def find(self, facts: AllFacts) -> tuple[Target, list[str]]:
        """Return (Target, problems). For a deploy, the first host asks the registry which image the tag names, unless
        `registry = "ssh"`. Raise Refused if no release is found."""
        if self.action == "rollback":
            target = self._back(facts)
            return target, await self._without_image(target)
        action = "restart" if {*preflight.live_tags(facts).values()} == {self.tag} else "deploy"
        image = f"{self.fleet.image}:{self.tag}"
        machines = {each["arch"] for each in facts.values()}
        if serves(self.fleet, self.action):
            local = await in_thread(local_image, image)
            architectures = [local.architecture] if local else []
            if texts := self._problems(image, local, architectures, machines):
                return Target(action, self.tag), texts
            target = await self._served(action)
            return target, self._reused(target, local, facts)
        name = self.hosts.hosts[0].name
        try:
            resolved: Resolved = await self.hosts.connections[name].ask(
                "resolve", 90, image=self.fleet.image, tag=self.tag, credentials=self.credentials()
            )
        except HostProblem as problem:
            return Target(action, self.tag), [f"on {name}: {problem}"]
        local = await in_thread(image_of_digest, resolved["digest"])
        target = Target(action, self.tag, resolved["digest"])
        texts = self._problems(image, local, resolved["architectures"], machines)
        return target, texts + self._reused(target, local, facts)

    def _reused(self, target: Target, local: LocalImage | None, facts: AllFacts) -> list[str]:
        return lines_of(on_hosts(images.reuse_problems(target.tag, target.digest, local, facts)))

    def _problems(
        self, image: str, local: LocalImage | None, architectures: list[str], machines: set[str]
    ) -> list[str]:
        """Return why the image must not be deployed, as far as this machine knows it before hosts pull it."""
        dirt = images.dirt_problem(self.tag, local, self.allow_dirty)
        return [*filter(None, [dirt, images.architecture_problem(image, architectures, machines)])]

    def credentials(self) -> str:
        """Return user:password from the variable that registry.login names, or "". Raise Refused if it is not set."""
        name = self.fleet.registry_login
        if name and not os.environ.get(name):
            raise Refused(f"registry.login: set the environment variable {name} to user:password for the registry")
        return os.environ[name] if name else ""

    def _back(self, facts: AllFacts) -> Target:
        bare = [name for name, tag in preflight.live_tags(facts).items() if not tag]
        if 0 < len(bare) < len(facts):
            raise Refused(
                f"{', '.join(bare)}: no release is there to go back from: run slipway deploy --live first, or leave the"
                " host out by --hosts"
            )
        releases = preflight.records_of(facts, self.tag) if self.tag else preflight.previous_releases(facts)
        tag = self.tag or next(iter(releases.values()))["tag"]
        if {*preflight.live_tags(facts).values()} == {tag}:
            raise Refused(f"{tag} is live already")
        images_of_hosts = {name: image_of(release, facts[name]) for name, release in releases.items()}
        return Target("rollback", tag, releases=images_of_hosts, unpublished=preflight.unpublished(facts, tag))

    async def _without_image(self, target: Target) -> list[str]:
        """Return a problem for each host that has not the image of a rollback, and cannot pull it."""
        _, problems = await gathered(
            self.hosts.hosts,
            lambda host: self.hosts.connections[host.name].ask(
                "has_image",
                90,
                image=self.fleet.image,
                tag=target.tag,
                **target.releases[host.name],
                credentials=self.credentials(),
                pulls=self.fleet.registry != "ssh",
            ),
        )
        return lines_of(on_hosts(texts(problems)))

    async def _served(self, action: str) -> Target:
        from ..ssh import registry

        server = self.stack.enter_context(await in_thread(registry.serve, f"{self.fleet.image}:{self.tag}"))
        self.stack.callback(lambda: self.hosts.tell({"event": "sent", "bytes": server.sent}))
        sources = {
            name: {"reference": f"127.0.0.1:{port}/app", "credentials": server.login}
            for name, port in (await self.hosts.forward_port(server.port)).items()
        }
        return Target(action, self.tag, server.digest, sources=sources)


def image_of(release: Release | Record, facts: Facts) -> dict[str, Any]:
    digests = [record.get("digest") for record in facts["history"] if record["tag"] == release["tag"]]
    return {"image_id": release["image_id"], "digest": release.get("digest") or (digests or [""])[-1]}
