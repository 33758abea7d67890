"""`config check`: show the hosts. The configuration is valid here, because a wrong one fails to load, except for
schedules, which only systemd can check."""

import argparse
import shutil
import sys

from ..config import Fleet
from ..errors import HostProblem, Refused
from ..ssh import child
from ..ssh.connection import run
from ..ssh.validate import decoded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["check"], help="check: list the hosts, or all problems")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    if fleet.timed:
        await check(fleet)
    print(f"{fleet.app}, image {fleet.image}")
    for host in fleet.hosts:
        print(f"  {host.name:12} {host.address:24} {' '.join(host.roles)}{' balancer' * host.balancer}")


async def check(fleet: Fleet) -> None:
    """Raise Refused if systemd does not know a schedule. Without a systemd here, ask a server's."""
    words = ["systemd-analyze", "calendar", *(process.schedule for process in fleet.timed.values())]
    host = fleet.hosts[0]
    try:
        done = await (child.run(words) if shutil.which(words[0]) else run(host, fleet.ssh, words))
    except HostProblem as problem:
        return print(f"schedules are not checked: {host.name}: {problem}", file=sys.stderr)
    if done.code:
        raise Refused(f"process: schedule: {decoded(done.err)}")
