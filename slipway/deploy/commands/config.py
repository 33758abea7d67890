"""`config check`: show the hosts. The configuration is valid here, because a wrong one fails to load, except for
schedules, which a server's systemd checks."""

import argparse
import sys

from ..config import Fleet
from ..errors import HostProblem, Refused
from ..ssh.connection import run
from ..ssh.validate import decoded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["check"], help="check: list the hosts, or all problems")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    print(f"{fleet.app}, image {fleet.image}")
    for host in fleet.hosts:
        roles = [*host.roles, *host.services, *(["balancer"] if host.balancer else [])]
        print(f"  {host.name:12} {host.address:24} {' '.join(roles)}")
    if fleet.timed:
        await check_schedules(fleet)


async def check_schedules(fleet: Fleet) -> None:
    """Raise Refused if systemd does not know a schedule."""
    words = ["systemd-analyze", "calendar", *(process.schedule for process in fleet.timed.values())]
    try:
        done = await run(fleet.hosts[0], fleet.ssh, words)
    except HostProblem as problem:
        print(f"schedules are not checked: {fleet.hosts[0].name}: {problem}", file=sys.stderr)
        return
    if done.code:
        raise Refused(f"process: schedule: {decoded(done.err)}")
