"""What the swarm has of an app, by what Docker tells of its services and their tasks. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DeployError
from .stack import ATTEMPT, ID, RELEASES, Release

# A line of JSON each: the app's services, their tasks, the swarm's nodes; then the names of the app's configs.
SCRIPT = """
each() { if [ -n "$2" ]; then docker inspect --type "$1" $2 || exit; else echo '[]'; fi | tr -d '\\n'; echo; }
services=$(docker service ls --quiet --filter "label=com.docker.stack.namespace=$1") || exit
tasks=$([ -z "$services" ] || docker service ps --quiet $services) || exit
each service "$services"
each task "$tasks"
each node "$(docker node ls --quiet)"
docker config ls --filter "name=$1." --format '{{.Name}}' | tr '\\n' ' '
"""
BUSY = ("updating", "rollback_started")
BACK = ("paused", "rollback_started", "rollback_paused", "rollback_completed")


@dataclass(frozen=True)
class Service:
    """`releases`: the last one is live, or coming; `attempt`: what brought it; `before`: Docker can take it back;
    `update`: how its last update fares, in Docker's words; `wanted`, `well`: how many containers; `old`: how many of
    another make are still there; `wrong`: why new ones have ended."""

    releases: Sequence[Release]
    attempt: str
    before: bool
    update: str
    wanted: int
    well: int
    old: int
    wrong: Sequence[str]

    @property
    def tag(self) -> str:
        """The tag of its release."""
        return self.releases[-1].tag if self.releases else "-"

    @property
    def whole(self) -> bool:
        """Whether all of it is as it should be, and nothing is under way."""
        return self.update not in BUSY and self.well == self.wanted and not self.old

    @property
    def state(self) -> str:
        """How it is, in words; "" where it is well."""
        count = "" if self.whole else f"{self.well} of {self.wanted} containers are well"
        return "; ".join(filter(None, [count, self.update if self.update in BUSY else "",
                                       *(() if self.whole else self.wrong)]))


@dataclass(frozen=True)
class Look:
    """`nodes`: name → (state, labels); `settings`: the name of the newest, "" without."""

    services: Mapping[str, Service]
    nodes: Mapping[str, tuple[str, Iterable[str]]]
    settings: str

    @property
    def releases(self) -> Sequence[Release]:
        """The app's, by what visitors get."""
        return self.services["web"].releases if "web" in self.services else ()


def parsed(app: str, said: str) -> Look:
    """What SCRIPT has printed."""
    services, tasks, nodes, configs = said.split("\n")[:4]
    found = {each["Spec"]["Name"].removeprefix(f"{app}_"): service(each, [
        task for task in json.loads(tasks) if task["ServiceID"] == each["ID"]]) for each in json.loads(services)}
    named = [name for name in configs.split() if name.startswith(f"{app}.settings.")]
    return Look(dict(sorted(found.items())), dict(map(node, json.loads(nodes))), max(named, key=number, default=""))


def number(settings: str) -> int:
    """Which settings they are, by their name, APP.settings.NUMBER.HASH; 0 for none."""
    return int(settings.split(".")[-2]) if settings else 0


def node(one: Any) -> tuple[str, tuple[str, Iterable[str]]]:
    """(name, (state, labels)) of a node."""
    spec, state = one["Spec"], one["Status"]["State"]
    return one["Description"]["Hostname"], (
        state if state != "ready" or spec["Availability"] == "active" else spec["Availability"],
        tuple(spec.get("Labels") or ()))


def service(one: Any, tasks: Sequence[Any]) -> Service:
    """A service, by its own word and its tasks'."""
    spec, update, mine = one["Spec"], one.get("UpdateStatus") or {}, labels(one["Spec"]["TaskTemplate"]).get(ID)
    new = [task for task in tasks if labels(task["Spec"]).get(ID) == mine]
    wanted = [task for task in tasks if task["DesiredState"] in ("running", "ready")]
    ended = {task["Status"].get("Err") or "it ended" for task in new
             if task["Status"]["State"] in ("failed", "rejected")}
    count = spec["Mode"].get("Replicated", {}).get("Replicas") or sum(task in new for task in wanted) or 1
    return Service([Release(*each) for each in json.loads(spec["Labels"].get(RELEASES, "[]"))],
                   spec["Labels"].get(ATTEMPT, ""), bool(one.get("PreviousSpec")), update.get("State", ""), count,
                   sum(task in new and task["Status"]["State"] == "running" for task in wanted),
                   sum(task not in new for task in wanted), sorted(ended))


def labels(template: Any) -> Mapping[str, str]:
    """Those of the containers."""
    return template["ContainerSpec"].get("Labels") or {}


# ---- what it means ----

def converged(look: Look, names: Iterable[str], attempt: str) -> bool:
    """Whether all services are what the deploy `attempt` made them. Raises DeployError where one is not to be."""
    for name in names:
        one = look.services.get(name)
        if one is None or one.attempt != attempt or one.update in BACK or one.wrong and not one.before:
            raise DeployError(f"{name}: {'; '.join(one.wrong) if one and one.wrong else 'a new container ended'}")
    return all(look.services[name].whole for name in names)


def rows(look: Look) -> Iterator[tuple[str, ...]]:
    """A row for each service, after the columns' names."""
    yield "service", "release", "containers", "update"
    for name, one in look.services.items():
        yield name, one.tag, f"{one.well} of {one.wanted}", one.update or "-"


def problems(look: Look) -> Iterator[str]:
    """What is not as it should be, a line each."""
    yield from (f"node {name} is {state}" for name, (state, _) in look.nodes.items() if state != "ready")
    if not look.services:
        yield "nothing is deployed yet"
    for name, one in look.services.items():
        if one.state:
            yield f"{name}: {one.state}"
        if one.tag != look.services.get("web", one).tag:
            yield f"{name} is of {one.tag}, and web of {look.services['web'].tag}: deploy again, or roll back"
