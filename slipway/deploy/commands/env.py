"""env: settings and secrets, staged here and live with the next deploy."""

import argparse
from collections.abc import Coroutine
from typing import Any

from ..config import Fleet
from ..engine import engine_of
from ..env import staging


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("set", help="stage values, read as NAME=value lines from stdin, or typed, unseen")
    add.add_argument("names", nargs="*", metavar="NAME")
    remove = actions.add_parser("unset", help="stage the removal of settings")
    remove.add_argument("names", nargs="+", metavar="NAME")
    actions.add_parser("list", help="names of settings, and what is staged; never a value")
    file = actions.add_parser("set-file", help="stage a value of several lines; the app reads NAME_FILE")
    file.add_argument("name", metavar="NAME")
    file.add_argument("file", metavar="FILE", help="- is stdin")


def handle(fleet: Fleet, args: argparse.Namespace) -> Coroutine[Any, Any, None]:
    """What is typed is read now, before the event loop runs, which must not wait for it."""
    engine = engine_of(fleet)
    return engine.show_settings(args) if args.action == "list" else engine.stage(
        args, staging.CHANGES[args.action](args))
