"""run: run a one-off command on a host, and exit with the command's exit code."""

import argparse
import sys

from ..config import Fleet
from ..engine import engine_of
from ..errors import Refused
from ..ssh import child


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="a command of docker-run.sh")


async def handle(fleet: Fleet, args: argparse.Namespace) -> int | None:
    host = next((host for host in fleet.app_hosts if host.name == args.host), None)
    if host is None:
        raise Refused(f"no host {args.host!r}; the hosts are: {', '.join(host.name for host in fleet.app_hosts)}")
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not words:
        raise Refused("give a command to run: make run HOST=web1 ARGS='manage showmigrations'")
    tty = sys.stdin.isatty() and sys.stdout.isatty()
    command = fleet.ssh.command(host.address, engine_of(fleet).command(words, tty), tty=tty)
    running = await child.start(command, stdin=None, stdout=None, stderr=None, start_new_session=False)
    try:
        return await running.ended()
    finally:
        await running.close(0)
