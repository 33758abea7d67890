"""The command `env`."""

import argparse
from collections.abc import Coroutine
from typing import Any

from ..config import Fleet
from ..engine import engine_of
from ..env import staging


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    parser.set_defaults(action="list")
    hosts = argparse.ArgumentParser(add_help=False)
    hosts.add_argument("--hosts", default=argparse.SUPPRESS, metavar="A,B", help="only these hosts")
    add = actions.add_parser("set", parents=[hosts], help="stage values: NAME=value lines from stdin, or typed unseen")
    add.add_argument("names", nargs="*", metavar="NAME")
    remove = actions.add_parser("unset", parents=[hosts], help="stage the removal of settings")
    remove.add_argument("names", nargs="+", metavar="NAME")
    actions.add_parser(
        "list", parents=[hosts], help="list the names of settings, and what is staged; never a value (default)"
    )
    file = actions.add_parser("set-file", parents=[hosts], help="stage a file; the app finds its path in NAME_FILE")
    file.add_argument("name", metavar="NAME")
    file.add_argument("file", metavar="FILE", help="a path, or - for stdin")


def handle(fleet: Fleet, args: argparse.Namespace) -> Coroutine[Any, Any, None]:
    """Return the command's coroutine. Read stdin here, because reading in the coroutine would block the event loop."""
    engine = engine_of(fleet)
    return (
        engine.show_settings(args) if args.action == "list" else engine.stage(args, staging.CHANGES[args.action](args))
    )
