"""Chooses the engine, "hosts" (agents over ssh) or "swarm" (Docker Swarm). Both have the methods of Hosts."""

from typing import TYPE_CHECKING, Protocol

from .config import Fleet
from .rollout.plan import Step
from .ssh.validate import Tell

if TYPE_CHECKING:
    from .hosts import Hosts
    from .swarm.engine import Swarm


class Rolling(Protocol):
    """The interface of a deploy or rollback."""

    @property
    def tell(self) -> Tell: ...

    async def plan(self) -> list[tuple[Step, ...]]: ...

    async def run(self) -> None: ...


def engine_of(fleet: Fleet) -> "Hosts | Swarm":
    """Return the fleet's engine. To save time, import only that engine's modules."""
    if fleet.is_swarm:
        from .swarm.engine import Swarm
        return Swarm(fleet)
    from .hosts import Hosts
    return Hosts(fleet)
