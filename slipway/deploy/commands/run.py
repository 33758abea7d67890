"""run: run a one-off command on a host, and exit with the command's exit code. The host's journal says who ran it."""

import argparse
import asyncio
import sys

from ..config import Fleet, Host
from ..engine import engine_of
from ..errors import Refused
from ..screen.display import put
from ..ssh import child
from ..ssh.connection import who

NO_CODE = 255  # ssh's exit code if it has none of the command; of one that was killed it says nothing
NOTED = 'logger -t "$1" -- "$2" || :; shift 2; exec "$@"'
# Without a terminal, sshd tells a command of no Ctrl-C or kill of ssh: it closes the command's stdout, and that is all.
HEARD = f"""python3 -ISc '
import os, select, signal, sys
command, poll = os.pidfd_open(int(sys.argv[1])), select.poll()
poll.register(command, select.POLLIN), poll.register(1, 0)
if 1 in dict(poll.poll()): signal.pidfd_send_signal(command, signal.SIGTERM)
' $$ 2>/dev/null &
{NOTED}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="", metavar="HOST", help="default: the first host with the role web")
    parser.add_argument(
        "words", nargs=argparse.REMAINDER, metavar="COMMAND", help="such as manage showmigrations, or bash for a shell"
    )


async def handle(fleet: Fleet, args: argparse.Namespace) -> int | None:
    hosts = sorted(fleet.app_hosts, key=lambda host: not host.has("web"))
    host = next((host for host in hosts if args.host in ("", host.name)), None)
    if host is None:
        raise Refused(f"no host {args.host!r}; the hosts are: {', '.join(host.name for host in fleet.app_hosts)}")
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not words:
        raise Refused("give a command to run: slipway run manage showmigrations")
    tty = at_terminal()
    words = with_journal_entry(fleet.app, words, engine_of(fleet).command(words, tty), tty)
    command = fleet.ssh.command(host.address, words, tty=tty)
    try:
        return await run_attached(host, command)
    except asyncio.CancelledError:
        if fleet.is_swarm:  # docker exec passes no signal on
            put(f"the command may go on in its container on {host.name}", sys.stderr)
        raise


def at_terminal() -> bool:
    """Return True if a person types to this process, and reads what it prints."""
    return sys.stdin.isatty() and sys.stdout.isatty()


async def run_attached(host: Host, command: list[str]) -> int | None:
    """Run a command of ssh to the host with this process's stdin, stdout and stderr. Return its exit code."""
    running = await child.start(command, stdin=None, stdout=None, stderr=None, start_new_session=False)
    try:
        code = await running.ended()
    finally:
        await running.close(0)
    if code == NO_CODE:
        put(f"{host.name}: no exit code: ssh lost the host, or the command there was killed", sys.stderr)
    return code


def with_journal_entry(app: str, words: list[str], command: list[str], tty: bool) -> list[str]:
    """Return a command that first logs who runs which command. Arguments may be secrets: they are not logged. Without
    a terminal (`tty`), it gets TERM when ssh has gone."""
    named = words[:2] if words[0] == "manage" else words[:1]
    return ["sh", "-c", NOTED if tty else HEARD, "sh", f"{app}-run", who(" ".join(named)), *command]
