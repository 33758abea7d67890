"""Chooses the engine, "hosts" (agents over ssh) or "swarm" (Docker Swarm). Both have the methods of Hosts."""

from typing import TYPE_CHECKING, TypeAlias

from .config import Fleet

if TYPE_CHECKING:
    from .hosts import Hosts
    from .rollout.rollout import Rollout
    from .swarm.engine import Swarm
    from .swarm.rollout import Rollout as SwarmRollout

Rolling: TypeAlias = "Rollout | SwarmRollout"  # a deploy or rollback: both have `tell`, `breaking`, plan() and run()


def engine_of(fleet: Fleet) -> "Hosts | Swarm":
    """Return the fleet's engine. To save time, import only that engine's modules."""
    if fleet.is_swarm:
        from .swarm.engine import Swarm

        return Swarm(fleet)
    from .hosts import Hosts

    return Hosts(fleet)
