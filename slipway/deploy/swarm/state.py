"""Parses the app's state on a swarm from Docker's output. Does no I/O."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DeployError
from .stack import ATTEMPT, ID, RELEASES, Release

# Prints the app's services as a line of JSON, then NAME RUNNING/WANTED of each service, then its configs' names.
SCRIPT = """
services=$(docker service ls --filter "label=com.docker.stack.namespace=$1" \\
    --format '{{.ID}} {{.Name}} {{.Replicas}}') || exit
ids=$(echo "$services" | cut -d' ' -f1)
[ -z "$ids" ] || found=$(docker service inspect $ids) || exit
printf %s "${found:-[]}" | tr -d '\\n'
echo
echo "$services" | cut -d' ' -f2,3 | tr '\\n' ' '
echo
docker config ls --filter "name=$1." --format '{{.Name}}' | tr '\\n' ' '
"""
BUSY = ("updating", "rollback_started")
BACK = ("paused", "rollback_started", "rollback_paused", "rollback_completed")


@dataclass(frozen=True)
class Service:
    """A service. The last of `releases` runs or starts. `attempt`: the deploy's id. `before`: True if Docker can roll
    back. `update`: Docker's update state. `made`: the definition's hash. `running`, `expected`: containers."""

    releases: Sequence[Release]
    attempt: str
    before: bool
    update: str
    made: str
    running: int
    expected: int

    @property
    def tag(self) -> str:
        return self.releases[-1].tag if self.releases else "-"

    @property
    def whole(self) -> bool:
        """True if all containers run, and no update is under way. `running` may count containers on a lost host."""
        return self.update not in BUSY and self.running >= self.expected


@dataclass(frozen=True)
class State:
    """The app's state. `settings`: the name of the newest config with settings, or ""."""

    services: Mapping[str, Service]
    settings: str

    @property
    def releases(self) -> Sequence[Release]:
        return self.services["web"].releases if "web" in self.services else ()


def parse(app: str, output: str) -> State:
    services, replicas, configs = output.split("\n")[:3]
    words = replicas.split()
    counts = dict(zip(words[::2], words[1::2], strict=False))
    by_name = {
        each["Spec"]["Name"].removeprefix(f"{app}_"): service(each, counts[each["Spec"]["Name"]])
        for each in json.loads(services)
    }
    named = [name for name in configs.split() if name.startswith(f"{app}.settings.")]
    return State(dict(sorted(by_name.items())), max(named, key=number, default=""))


def number(settings: str) -> int:
    return int(settings.split(".")[-2]) if settings else 0


def service(inspected: Any, count: str) -> Service:
    labels = inspected["Spec"]["Labels"]
    update = inspected.get("UpdateStatus") or {}
    return Service(
        [Release(*each) for each in json.loads(labels.get(RELEASES, "[]"))],
        labels.get(ATTEMPT, ""),
        bool(inspected.get("PreviousSpec")),
        update.get("State", ""),
        inspected["Spec"]["TaskTemplate"]["ContainerSpec"]["Labels"][ID],
        *map(int, count.split("/")),
    )


# ---- questions about the state ----


def has_converged(state: State, names: Iterable[str], attempt: str, before: State) -> bool:
    """Return True if all services `names` run as the deploy `attempt` defined them. Raise DeployError if one failed.
    Compare with the state `before`: a service that just changed still reports its old containers and no update."""
    for name in names:
        service = state.services.get(name)
        if service is None or service.attempt != attempt or service.update in BACK:
            raise DeployError(f"{name}: a new container exited or did not become healthy: see slipway logs")
    now = state.services
    then = before.services
    return all(
        now[name].whole and (name not in then or now[name].made == then[name].made or now[name].update == "completed")
        for name in names
    )


def rows(state: State) -> Iterator[tuple[str, ...]]:
    yield "service", "release", "containers", "update"
    for name, service in state.services.items():
        yield name, service.tag, f"{service.running} of {service.expected}", service.update or "-"


def problems(state: State) -> Iterator[str]:
    if not state.services:
        yield "nothing is deployed yet"
    for name, service in state.services.items():
        if not service.whole:
            update = f", {service.update}" if service.update else ""
            yield f"{name}: {service.running} of {service.expected} containers run{update}"
        if service.tag != state.services.get("web", service).tag:
            yield f"{name} runs {service.tag}, but web runs {state.services['web'].tag}: deploy again, or roll back"
