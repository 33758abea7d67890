"""The interface of the two engines, "hosts" (agents over ssh) and "swarm" (Docker Swarm)."""

import argparse
from collections.abc import Coroutine
from typing import Any, Protocol

from .agent.roles import Process
from .config import Fleet
from .env.staging import Change
from .rollout.plan import Options, Step
from .ssh.validate import Tell


class Rolling(Protocol):
    """The interface of a deploy or rollback."""

    @property
    def tell(self) -> Tell: ...

    async def plan(self) -> list[tuple[Step, ...]]: ...

    async def run(self) -> None: ...


class Engine(Protocol):
    """The commands that depend on the engine. `args` is the parsed command line."""

    def refuse(self, args: argparse.Namespace) -> None:
        """Raise Refused if the engine does not support the command or one of its options."""

    def rollout(self, action: str, tag: str, options: Options, args: argparse.Namespace, tell: Tell) -> Rolling:
        """Return a deploy or rollback (`action`) to the release `tag`. If `tag` is "", use the previous release."""

    async def status(self, args: argparse.Namespace) -> int:
        """Show what runs where. Return 1 if there are problems, else 0."""

    async def releases(self, args: argparse.Namespace) -> None:
        """Show past releases."""

    def show_settings(self, args: argparse.Namespace) -> Coroutine[Any, Any, None]:
        """Show the names of the settings, and the changes that the next deploy will make live."""

    def stage(self, args: argparse.Namespace, change: Change) -> Coroutine[Any, Any, None]:
        """Store a change of settings. The next deploy makes the change live."""

    def command(self, words: list[str], tty: bool) -> list[str]:
        """Return the command line that runs `words` on a host, in the live release. `tty`: True to get a terminal."""

    def journal(self, process: Process) -> list[str]:
        """Return the names by which journalctl finds a process's log."""


def engine_of(fleet: Fleet) -> Engine:
    """Return the fleet's engine. To save time, import only that engine's modules."""
    if fleet.is_swarm:
        from .swarm.engine import Swarm
        return Swarm(fleet)
    from .hosts import Hosts
    return Hosts(fleet)
