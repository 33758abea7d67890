"""run: run a one-off command on a host, and exit with the command's exit code. The host's journal says who ran it."""

import argparse
import sys

from ..config import Fleet
from ..engine import engine_of
from ..errors import Refused
from ..ssh import child
from ..ssh.connection import who

NOTED = 'logger -t "$1" -- "$2" || :; shift 2; exec "$@"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST", help='"": the first host with the role web')
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="a command of docker-run.sh")


async def handle(fleet: Fleet, args: argparse.Namespace) -> int | None:
    hosts = sorted(fleet.app_hosts, key=lambda host: not host.has("web"))
    host = next((host for host in hosts if args.host in ("", host.name)), None)
    if host is None:
        raise Refused(f"no host {args.host!r}; the hosts are: {', '.join(host.name for host in fleet.app_hosts)}")
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not words:
        raise Refused("give a command to run: make run HOST=web1 ARGS='manage showmigrations'")
    tty = sys.stdin.isatty() and sys.stdout.isatty()
    command = fleet.ssh.command(host.address, noted(fleet.app, words, engine_of(fleet).command(words, tty)), tty=tty)
    running = await child.start(command, stdin=None, stdout=None, stderr=None, start_new_session=False)
    try:
        return await running.ended()
    finally:
        await running.close(0)


def noted(app: str, words: list[str], command: list[str]) -> list[str]:
    """Return a command that first logs who runs which command. Arguments may be secrets: they are not logged."""
    named = words[:2] if words[0] == "manage" else words[:1]
    return ["sh", "-c", NOTED, "sh", f"{app}-run", who(" ".join(named)), *command]
