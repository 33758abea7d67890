"""What an engine runs of an app, whichever engine it is. Pure."""

import hashlib
import re
import shlex
from dataclasses import dataclass

from ..agent.roles import Process
from ..config import Fleet
from ..screen.yaml import made_by

PORT = 8000  # where the image's `run` listens
DRAIN = 5  # seconds between the moment a container is to end and its TERM: proxies must have heard of it
MADE = made_by("manifests", "engines.md")


@dataclass(frozen=True)
class Release:
    """A tag of the image, and what it stands for: sha256:…"""

    tag: str
    digest: str


@dataclass(frozen=True)
class Port:
    """What others reach of a process. `outer`: the number that they know; `inner`: the container's;
    `called`: its name, if it has one of its own."""

    outer: int
    inner: int
    protocol: str = "TCP"
    called: str = ""

    @property
    def name(self) -> str:
        """A name among the ports of its process."""
        return self.called or f"{self.protocol.lower()}-{self.outer}"


WEB = Port(80, PORT, called="http")


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
    return Workload(process.name, tuple(shlex.split(process.command)), replicas,
                    max(replicas, fleet.engine["most"].get(process.name, 0)), process.stop, process.overlap,
                    process.ready, (WEB,) if process.name == "web" else tuple(map(port, process.ports)))


def preparing(fleet: Fleet) -> list[str]:
    """The command that comes before a release, once: its static files into the bucket, if the file names one, then
    the migrations."""
    return [*(["collectstatic", bucket] if (bucket := fleet.static["publish"]) else []), "migrate"]


def preparing_seconds(fleet: Fleet) -> int:
    """The seconds that it may take."""
    return int(fleet.rollout["migrate"] + (fleet.static["seconds"] if fleet.static["publish"] else 0))


def port(published: str) -> Port:
    """A port as docker publishes it: 127.0.0.1:25:2525/tcp."""
    numbers, _, protocol = published.partition("/")
    *_, outer, inner = numbers.split(":")
    return Port(int(outer), int(inner), protocol.upper() or "TCP")


def slug(release: Release) -> str:
    """A release as a part of names that are DNS labels: its tag, as far as it may be there, and what tells it from all
    others."""
    text = re.sub("[^a-z0-9]+", "-", release.tag.lower())[:20].strip("-")
    return f"{text}-{hashlib.sha256(f'{release.tag}@{release.digest}'.encode()).hexdigest()[:8]}".lstrip("-")


def label(tag: str) -> str:
    """A tag as the value of a label, at most 63 letters and a letter or digit last."""
    return re.sub("[^A-Za-z0-9]+$", "", tag[:63]).lstrip("_.-")
