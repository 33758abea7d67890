"""run: a one-off command on a host, in the release that is live; exits as the command does."""

import argparse
import sys

from ..config import Fleet
from ..errors import Refused
from ..ssh import process


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="as docker-run.sh takes it")


async def handle(fleet: Fleet, args: argparse.Namespace) -> int | None:
    host = next((host for host in fleet.app_hosts if host.name == args.host), None)
    if host is None:
        raise Refused(f"there is no host {args.host!r}; there are: {', '.join(host.name for host in fleet.app_hosts)}")
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not words:
        raise Refused("what shall be run? make run HOST=web1 ARGS='manage showmigrations'")
    tty = sys.stdin.isatty() and sys.stdout.isatty()
    words = in_swarm(fleet.app, words, tty) if fleet.is_swarm else ["docker-runner", fleet.app, *words]
    command = fleet.ssh.command(host.address, words, tty=tty)
    running = await process.start(command, stdin=None, stdout=None, stderr=None, start_new_session=False)
    try:
        return await running.ended()
    finally:
        await running.close(0)


def in_swarm(app: str, words: list[str], tty: bool) -> list[str]:
    """The words that run a command in a container of the live release, one of those on the host."""
    script = (
        'one=$(docker ps -q --filter "name=^$1_" --filter status=running --filter label=slipway.tag | head -n 1)\n'
        '[ -n "$one" ] || { echo "no container of $1 runs on this host: see make status" >&2; exit 69; }\n'
        f'shift; exec docker exec -i{"t" * tty} "$one" ./docker-run.sh "$@"')
    return ["sh", "-c", script, "sh", app, *words]
