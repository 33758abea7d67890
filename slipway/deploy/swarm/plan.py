"""The steps of a deploy or rollback on a swarm. Pure."""

from collections.abc import Iterator

from ..config import Fleet
from ..engine.workloads import workloads
from ..rollout.plan import PENDING, Options, Step
from .stack import at_a_time

SWARM = ("swarm",)  # in the place of hosts
SLACK = 60  # seconds, for placing, and for Swarm to say that it has done


def plan(fleet: Fleet, action: str, options: Options) -> list[tuple[Step, ...]]:
    """The steps, each a group as decide/plan.py has them."""
    return [(step,) for step in steps(fleet, action, options)]


def steps(fleet: Fleet, action: str, options: Options) -> Iterator[Step]:
    """One after the other. The database changes once, before the first container; web goes first, and all else once
    visitors are well off with it."""
    rollout = fleet.rollout
    yield Step("begin", SWARM)
    yield Step("pull", SWARM, {"image": fleet.image})
    yield Step("verdicts", SWARM, {"image": fleet.image})
    if action != "rollback":
        if fleet.static["publish"]:
            yield Step("upload", SWARM, {"bucket": fleet.static["publish"], "seconds": fleet.static["seconds"]})
        yield Step("migrate", SWARM, {"seconds": rollout["migrate"]},
                   where="" if rollout["always_migrate"] else PENDING)
    yield Step("update", SWARM, {"part": "web", "seconds": seconds(fleet)})
    longest = max(work.stop for work in workloads(fleet) if not work.together)
    yield Step("update", SWARM, {"part": "rest", "seconds": rollout["ready"] + longest + SLACK})
    if action != "rollback" and options.bake and rollout["bake"]:
        yield Step("watch", SWARM, {"seconds": rollout["bake"]})
    yield Step("commit", SWARM)


def seconds(fleet: Fleet) -> int:
    """How long the web may take: each part of it gets ready, and is watched."""
    parts = -(-fleet.engine["replicas"]["web"] // at_a_time(fleet))
    return int(parts * (fleet.rollout["ready"] + fleet.rollout["canary"]) + SLACK)
