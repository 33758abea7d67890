"""status: what runs where, and what is not as it should be."""

import argparse
import json
import sys

from ..agent.answers import Facts
from ..config import Fleet, Host
from ..errors import on_hosts
from ..rollout import drift, preflight
from ..screen import tables
from ..ssh.connections import Connections
from ..ssh.gather import Problems
from ..ssh.validate import brief, visible
from ..swarm import look

RED, PLAIN = "\033[31m", "\033[0m"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for machines")


async def handle(fleet: Fleet, args: argparse.Namespace) -> int:
    """Exit code 1 when anything is not as it should be."""
    if fleet.is_swarm:
        return await look.status(fleet, args)
    facts, problems = await facts_of(fleet, fleet.chosen(args.hosts))
    if args.json:
        print(json.dumps({"hosts": facts, "problems": problems}))
        return 1 if problems else 0
    rows = [row for host in fleet.hosts if host.name in facts for row in tables.rows(host, facts[host.name])]
    print(visible(tables.table([tables.ROWS, *rows])))
    for name, found in facts.items():
        if found["lock"]:
            print(visible(f"{name}: locked: {brief(found['lock'])}"))
    if problems:
        red, plain = (RED, PLAIN) if sys.stdout.isatty() else ("", "")
        print(red + visible(on_hosts(problems)) + plain)
    return 1 if problems else 0


async def facts_of(fleet: Fleet, hosts: list[Host]) -> tuple[dict[str, Facts], Problems]:
    """(host name → facts, host name → problems: those that can't be asked are only there)."""
    async with Connections(fleet, hosts) as connections:
        problems = await connections.reach()
        facts, others = await connections.facts(paths=lambda host: list(preflight.expected(fleet, host)),
                                                health=lambda host: True)
    problems |= others | drift.problems(fleet, connections.hosts, facts)
    return dict(sorted(facts.items())), problems
