"""releases: what ran when, by whom, and what became of it."""

import argparse
import json
import sys

from ..config import Fleet
from ..errors import DeployError, on_hosts
from ..screen import tables
from ..ssh.connections import Connections
from ..ssh.validate import visible
from ..swarm import look


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for machines")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    if fleet.is_swarm:
        return await look.releases(fleet, args)
    async with Connections(fleet, fleet.chosen(args.hosts)) as connections:
        problems = await connections.reach()
        facts, others = await connections.facts()
    if args.json:
        print(json.dumps({name: found["records"] for name, found in facts.items()}))
    else:
        print(visible(tables.table(tables.history(facts))))
    for name, found in facts.items():
        if found["torn"]:
            print(f"{name}: {found['torn']} lines of releases.log are torn, and left out", file=sys.stderr)
    if problems | others:
        raise DeployError(on_hosts(problems | others))
