"""What runs the app: the hosts themselves, or Docker Swarm on them. Commands ask the engine of their fleet."""

import argparse
from collections.abc import Coroutine
from typing import Any, Protocol

from .agent.roles import Process
from .config import Fleet
from .env.staging import Change
from .rollout.plan import Options, Step
from .ssh.validate import Tell


class Rolling(Protocol):
    """A deploy or rollback that is asked for."""

    @property
    def tell(self) -> Tell: ...

    async def plan(self) -> list[tuple[Step, ...]]: ...

    async def run(self) -> None: ...


class Engine(Protocol):
    """What commands do by the engine. `args`: of the command line."""

    def refuse(self, args: argparse.Namespace) -> None:
        """Raise Refused for a command or an option that has no meaning with this engine."""

    def rollout(self, action: str, tag: str, options: Options, args: argparse.Namespace, tell: Tell) -> Rolling:
        """A deploy or rollback."""

    async def status(self, args: argparse.Namespace) -> int:
        """Show what runs where; exit code 1 when anything is not as it should be."""

    async def releases(self, args: argparse.Namespace) -> None:
        """Show what ran."""

    def show_settings(self, args: argparse.Namespace) -> Coroutine[Any, Any, None]:
        """Show names, and what is staged."""

    def stage(self, args: argparse.Namespace, change: Change) -> Coroutine[Any, Any, None]:
        """Stage settings for the next deploy."""

    def command(self, words: list[str], tty: bool) -> list[str]:
        """The words that run a command in the release that is live, on a host."""

    def journal(self, process: Process) -> list[str]:
        """The names under which a process logs."""


def engine_of(fleet: Fleet) -> Engine:
    """The engine of a fleet. Only its modules are loaded, as that takes time."""
    if fleet.is_swarm:
        from .swarm.engine import Swarm
        return Swarm(fleet)
    from .hosts import Hosts
    return Hosts(fleet)
