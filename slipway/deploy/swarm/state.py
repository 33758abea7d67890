"""What the swarm has of an app, by what Docker tells of its services. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DeployError
from .stack import ATTEMPT, ID, RELEASES, Release

# The app's services, as a line of JSON; how many containers of each run, of how many; the names of the app's configs.
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
    """`releases`: the last one is live, or coming; `attempt`: what brought it; `before`: Docker can take it back;
    `update`: Docker's word; `made`: the hash of what its containers are made of; `running`, `wanted`: how many there
    are."""

    releases: Sequence[Release]
    attempt: str
    before: bool
    update: str
    made: str
    running: int
    wanted: int

    @property
    def tag(self) -> str:
        """The tag of its release."""
        return self.releases[-1].tag if self.releases else "-"

    @property
    def whole(self) -> bool:
        """Whether all of it runs, and nothing is under way. Docker goes on to count what ran on a host that is lost."""
        return self.update not in BUSY and self.running >= self.wanted


@dataclass(frozen=True)
class State:
    """`settings`: the name of the newest, "" without."""

    services: Mapping[str, Service]
    settings: str

    @property
    def releases(self) -> Sequence[Release]:
        """The app's, by what visitors get."""
        return self.services["web"].releases if "web" in self.services else ()


def parsed(app: str, said: str) -> State:
    """What SCRIPT has printed."""
    services, replicas, configs = said.split("\n")[:3]
    words = replicas.split()
    counts = dict(zip(words[::2], words[1::2]))
    found = {each["Spec"]["Name"].removeprefix(f"{app}_"): service(each, counts[each["Spec"]["Name"]])
             for each in json.loads(services)}
    named = [name for name in configs.split() if name.startswith(f"{app}.settings.")]
    return State(dict(sorted(found.items())), max(named, key=number, default=""))


def number(settings: str) -> int:
    """Which settings they are, by their name, APP.settings.NUMBER.HASH; 0 for none."""
    return int(settings.split(".")[-2]) if settings else 0


def service(one: Any, count: str) -> Service:
    """A service by its own word, and the `count` of its containers, such as 2/3."""
    labels, update = one["Spec"]["Labels"], one.get("UpdateStatus") or {}
    return Service([Release(*each) for each in json.loads(labels.get(RELEASES, "[]"))], labels.get(ATTEMPT, ""),
                   bool(one.get("PreviousSpec")), update.get("State", ""),
                   one["Spec"]["TaskTemplate"]["ContainerSpec"]["Labels"][ID], *map(int, count.split("/")))


# ---- what it means ----

def converged(state: State, names: Iterable[str], attempt: str, before: State) -> bool:
    """Whether all services are what the deploy `attempt` made them. Raises DeployError where one is not to be. One that
    changes has no word of its update at first, and the containers that it had `before`."""
    for name in names:
        one = state.services.get(name)
        if one is None or one.attempt != attempt or one.update in BACK:
            raise DeployError(f"{name}: a new container ended, or did not get healthy: see make logs")
    now, then = state.services, before.services
    return all(now[name].whole and (name not in then or now[name].made == then[name].made
                                    or now[name].update == "completed") for name in names)


def rows(state: State) -> Iterator[tuple[str, ...]]:
    """A row for each service, after the columns' names."""
    yield "service", "release", "containers", "update"
    for name, one in state.services.items():
        yield name, one.tag, f"{one.running} of {one.wanted}", one.update or "-"


def problems(state: State) -> Iterator[str]:
    """What is not as it should be, a line each."""
    if not state.services:
        yield "nothing is deployed yet"
    for name, one in state.services.items():
        if not one.whole:
            yield f"{name}: {one.running} of {one.wanted} containers run{', ' * bool(one.update)}{one.update}"
        if one.tag != state.services.get("web", one).tag:
            yield f"{name} is of {one.tag}, and web of {state.services['web'].tag}: deploy again, or roll back"
