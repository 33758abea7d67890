"""prune: removes images that neither TAG nor REVERT nor a slot needs, and secrets that no settings name."""

import argparse

from ..agent.answers import Pruned
from ..config import Fleet, Host
from ..errors import DeployError
from ..ssh.connection import who
from ..ssh.connections import Connections
from ..ssh.gather import on_each
from ..ssh.validate import brief, visible

SECONDS = 3600  # for many images on a slow disk


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    async with Connections(fleet, fleet.chosen(args.hosts)) as hosts:
        async def prune(host: Host) -> list[str]:
            answer: Pruned = await hosts.connections[host.name].ask("prune", SECONDS, image=fleet.image)
            return answer["removed"]
        await hosts.reach_all()
        await hosts.lock(who("prune"))
        try:
            answers = await on_each(hosts.hosts, prune, DeployError)
        finally:
            await hosts.release()
    for name, removed in sorted(answers.items()):
        print(visible(f"{name}: removed {', '.join(map(brief, removed)) or 'nothing'}"))
