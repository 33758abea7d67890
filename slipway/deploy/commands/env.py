import argparse
from collections.abc import Coroutine
from typing import Any

from ..config import Fleet
from ..engine import engine_of
from ..env import staging


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("set", help="stage values: NAME=value lines from stdin, or typed at a hidden prompt")
    add.add_argument("names", nargs="*", metavar="NAME")
    remove = actions.add_parser("unset", help="stage the removal of settings")
    remove.add_argument("names", nargs="+", metavar="NAME")
    actions.add_parser("list", help="list the names of settings, and what is staged; never a value")
    file = actions.add_parser("set-file", help="stage a file as a value; the app finds its path in NAME_FILE")
    file.add_argument("name", metavar="NAME")
    file.add_argument("file", metavar="FILE", help="a path, or - for stdin")


def handle(fleet: Fleet, args: argparse.Namespace) -> Coroutine[Any, Any, None]:
    """Return the command's coroutine. Read stdin here, because reading in the coroutine would block the event loop."""
    engine = engine_of(fleet)
    return engine.show_settings(args) if args.action == "list" else engine.stage(
        args, staging.CHANGES[args.action](args))
