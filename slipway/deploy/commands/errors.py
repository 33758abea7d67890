"""errors: what has failed since the live release was committed, in groups of all hosts."""

import argparse
import json

from ..config import Fleet
from ..errors import DeployError, on_hosts
from ..log import errors, search
from ..ssh.connections import Connections
from ..ssh.validate import visible


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("group", nargs="?", default="", metavar="GROUP", help="all of this group: its number or id")
    parser.add_argument("--since", type=search.when, metavar="TIME", help="such as -1h, 14:05 or yesterday")
    parser.add_argument("--release", default="", metavar="TAG", help="only this release's")
    parser.add_argument("--all", action="store_true", help="all that the hosts have kept")
    parser.add_argument("--json", action="store_true", help="print JSON")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    async with Connections(fleet, fleet.chosen(args.hosts, balancers=True)) as connections:
        problems = await connections.reach()
        facts, more = await connections.facts()
        window = errors.window(facts, args.release, args.since, args.all)
        answers, others = await connections.ask("errors", window=window)
        groups = errors.merged(answers)
        if args.group:
            only = errors.chosen(groups, args.group)[0]["id"]
            answers, _ = await connections.ask("errors", window=window, only=only)
            groups = errors.chosen(errors.merged(answers), only)
    left = sum(answer["left"] for answer in answers.values())
    show(groups, args, left, bool(window["before"]))
    if found := problems | more | others:
        raise DeployError(on_hosts(found))


def show(groups: errors.Groups, args: argparse.Namespace, left: int, marks: bool) -> None:
    if args.json:
        return print(json.dumps(groups))
    for number, group in enumerate(groups, 1):
        print(visible(errors.head(group, number, marks)))
        if args.group:
            print(visible("\n".join(errors.whole(group))))
    if not groups:
        print("no errors")
    if left:
        print(f"{left} errors more, in too many groups: name a shorter time, such as --since -1h")
