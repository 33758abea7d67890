"""What a swarm runs of an app. Pure."""

import shlex
from dataclasses import dataclass

from ..agent.roles import Process
from ..config import Fleet

PORT = 8000  # where the image's `run` listens
DRAIN = 5  # seconds between the moment a container is to end and its TERM: proxies must have heard of it


@dataclass(frozen=True)
class Release:
    """A tag of the image, and what it stands for: sha256:…"""

    tag: str
    digest: str


@dataclass(frozen=True)
class Port:
    """What others reach of a process. `outer`: the number that they know; `inner`: the container's."""

    outer: int
    inner: int
    protocol: str = "TCP"


@dataclass(frozen=True)
class Workload:
    """A process as Swarm sees it. `stop`: seconds from TERM to KILL; `together`: whether the release before may still
    run beside it; `replicas`: how many there are."""

    name: str
    args: tuple[str, ...]
    replicas: int
    stop: int
    together: bool
    ready: str
    ports: tuple[Port, ...] = ()

    @property
    def is_web(self) -> bool:
        """Whether visitors come to it."""
        return self.name == "web"


def workloads(fleet: Fleet) -> list[Workload]:
    """All processes, in the order of the deployer's table of them; those that do not run have no replica."""
    return [of_process(process, fleet) for process in fleet.processes.values()]


def of_process(process: Process, fleet: Fleet) -> Workload:
    """One of them."""
    replicas = fleet.engine["replicas"].get(process.name, 0)
    return Workload(process.name, tuple(shlex.split(process.command)), replicas, process.stop, process.overlap,
                    process.ready, tuple(map(port, process.ports)))


def port(published: str) -> Port:
    """A port as docker publishes it: 127.0.0.1:25:2525/tcp."""
    numbers, _, protocol = published.partition("/")
    *_, outer, inner = numbers.split(":")
    return Port(int(outer), int(inner), protocol.upper() or "TCP")
