"""prune: removes images that neither TAG nor REVERT nor a slot needs, and secrets that no settings name."""

import argparse

from ..config import Fleet
from ..errors import DeployError, HostProblem
from ..rollout.plan import Step
from ..ssh.connection import who
from ..ssh.connections import Connections, report
from ..ssh.validate import brief, visible


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    async with Connections(fleet, fleet.chosen(args.hosts)) as connections:
        await connections.reach_all()
        await connections.lock(who("prune"))
        step = Step("prune", tuple(host.name for host in connections.hosts), {"image": fleet.image})
        try:
            answers = await connections.run([step])
        except HostProblem as problem:
            raise DeployError(report(problem)) from None
        finally:
            await connections.release()
    for (_, name), answer in sorted(answers.items()):
        print(visible(f"{name}: removed {', '.join(map(brief, answer['removed'])) or 'nothing'}"))
