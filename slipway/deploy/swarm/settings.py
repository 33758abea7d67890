"""`env` on a swarm, which keeps settings itself: any manager can read and stage them."""

from ..agent.answers import Settings
from ..config import Fleet
from ..env.changes import staged
from ..env.staging import Change, Texts, decoded, lines, understood
from ..errors import HostProblem, Locked, Refused
from ..ssh.connection import encoded, who
from .manager import NAME, Manager, Managers


async def show(fleet: Fleet) -> None:
    """Names, and what is staged."""
    async with Managers(fleet) as managers:
        manager = await managers.first()
        try:
            print("\n".join([f"{NAME}:", *(lines(*understood(*await read(manager))) or ["  nothing set"])]))
        except HostProblem as problem:
            raise Refused(f"on {manager.host.name}: {problem}") from None


async def stage(fleet: Fleet, change: Change) -> None:
    """Stage it, or leave all as it was. Raises Refused, Locked."""
    if change.kept:
        raise Refused("a swarm keeps the settings of each release with its record: roll back to it")
    async with Managers(fleet) as managers:
        manager = await managers.first()
        try:
            await manager.connection.lock(who("env"), fleet.rollout["dead_after"], swarm=True)
            text = staged(*await read(manager), change.values, change.unset)
            await manager.connection.ask("swarm_stage", settings=encoded(text.encode()), files={
                name: encoded(content) for name, content in change.files.items()})
            await manager.connection.end()
        except HostProblem as problem:
            raise (Locked if problem.locked else Refused)(f"on {manager.host.name}: {problem}") from None
    print(f"{change.done}: live with the next deploy")


async def read(manager: Manager) -> Texts:
    """The texts of the settings."""
    answer: Settings = await manager.connection.ask("swarm_read_settings")
    return decoded(answer["settings"], "the settings"), answer["staged"] and decoded(answer["staged"], "what is staged")
