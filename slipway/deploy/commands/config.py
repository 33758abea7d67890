"""`config check`: show the hosts. The configuration is valid here, because a wrong one fails to load, except for
schedules, which only systemd can check."""

import argparse
import shutil
import sys

from ..agent.roles import Process
from ..config import Fleet
from ..errors import HostProblem, Refused
from ..ssh import child
from ..ssh.connection import run
from ..ssh.validate import brief, decoded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["check"], help="check: list the hosts, or all problems")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    said = {name: await wrong(fleet, process) for name, process in fleet.timed.items()}
    if problems := [f"process.{name}.schedule: {brief(text)}" for name, text in said.items() if text]:
        raise Refused("\n".join(problems))
    print(f"{fleet.app}, image {fleet.image}")
    for host in fleet.hosts:
        print(f"  {host.name:12} {host.address:24} {' '.join(host.roles)}{' balancer' * host.balancer}")


async def wrong(fleet: Fleet, process: Process) -> str:
    """Return what systemd has against a schedule. Ask this machine's systemd, or that of a host with the role."""
    words = ["systemd-analyze", "calendar", process.schedule]
    hosts = fleet.with_role(process.name)
    try:
        if shutil.which(words[0]):
            done = await child.run(words)
        elif hosts:
            done = await run(hosts[0], fleet.ssh, words)
        else:
            return ""
    except HostProblem as problem:
        print(f"process.{process.name}.schedule: not checked: {hosts[0].name}: {problem}", file=sys.stderr)
        return ""
    return decoded(done.err) or "is not valid" if done.code else ""
