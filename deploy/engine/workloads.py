"""What an engine runs of an app, whichever engine it is. Pure."""

import re
import shlex
from dataclasses import dataclass

from ..agent.roles import Process
from ..decide.config import Fleet

PORT = 8000  # where the image's `run` listens
DRAIN = 5  # seconds between the moment a container is to end and its TERM: proxies must have heard of it
READY = "/dev/shm/ready"  # in a container; what READY_FILE names


@dataclass(frozen=True)
class Release:
    """A tag of the image, and what it stands for: sha256:…"""

    tag: str
    digest: str


@dataclass(frozen=True)
class Workload:
    """A process as engines see it. `stop`: seconds from TERM to KILL; `together`: whether the release before may still
    run beside it; `replicas`: how many there are, `most` if load may add some."""

    name: str
    args: tuple[str, ...]
    replicas: int
    most: int
    stop: int
    together: bool
    ready: str
    ports: tuple[int, ...] = ()

    @property
    def is_web(self) -> bool:
        """Whether visitors come to it."""
        return self.name == "web"


def workloads(fleet: Fleet) -> list[Workload]:
    """All that has a replica, in the order of the deployer's table of processes."""
    return [of_process(process, fleet) for process in fleet.processes.values() if fleet.engine["replicas"].get(
        process.name)]


def of_process(process: Process, fleet: Fleet) -> Workload:
    """One of them."""
    replicas = fleet.engine["replicas"][process.name]
    return Workload(process.name, tuple(shlex.split(process.command)), replicas,
                    max(replicas, fleet.engine["most"].get(process.name, 0)), process.stop, process.overlap,
                    process.ready, tuple(map(inner_port, process.ports)))


def inner_port(published: str) -> int:
    """The container's port, of one as docker publishes it: 2525 of "127.0.0.1:25:2525/tcp"."""
    return int(published.partition("/")[0].rpartition(":")[2])


def slug(tag: str) -> str:
    """A tag as a part of names that are DNS labels."""
    return re.sub("[^a-z0-9]+", "-", tag.lower()).strip("-")[:30].strip("-")
