"""unlock: break the lock of a host, whoever holds it. The host's journal says who broke whose lock, and releases.log
says it of a deploy that this takes back."""

import argparse

from ..config import Fleet, Host
from ..errors import DeployError, Refused
from ..ssh.connection import run, who
from ..ssh.gather import on_one
from ..ssh.validate import decoded, first_line
from .upgrade import confirm

ASK = 'systemctl show -p ActiveState -p InvocationID -p Description "$1-deploy.service"'
BREAK = """
set -e
unit="$1-deploy.service"
[ "$(systemctl show -p InvocationID --value "$unit")" = "$2" ] || { echo "it has changed hands meanwhile" >&2; exit 1; }
logger -p authpriv.notice -t "$1-unlock" -- "$3" || :
[ ! -d "/run/$1" ] || printf %s "$4" >"/run/$1/lock.broken" || :
systemctl stop "$unit"
"""
LONG = 400  # seconds: a takeback may be part of it
DOWN = ("inactive", "failed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST")
    parser.add_argument("--yes", action="store_true", help="do not ask")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    host = next((host for host in fleet.hosts if host.name == args.host), None)
    if host is None:
        raise Refused(f"no host {args.host!r}; the hosts are: {', '.join(host.name for host in fleet.hosts)}")
    state = await shown(fleet, host)
    if state.get("ActiveState") in DOWN:
        print(f"{host.name}: nobody holds the lock")
        return
    held = first_line(state.get("Description", ""))
    print(f"{host.name}: locked: {held}", flush=True)
    if not args.yes and not confirm("Break the lock? A deploy that it belongs to is taken back. [y/N] "):
        raise Refused("the lock stays: answer y, or add --yes")
    me = who("unlock")
    broken = me.replace("unlock", "the lock was broken", 1).partition(" since ")[0]
    words = ["sh", "-c", BREAK, "sh", fleet.app, state.get("InvocationID", ""), f"{me}: broke the lock: {held}", broken]
    await on_one(host, run(host, fleet.ssh, words, timeout=LONG, check=True), DeployError)
    print(f"{host.name}: the lock is broken")


async def shown(fleet: Fleet, host: Host) -> dict[str, str]:
    """Return properties of the unit that holds the lock."""
    done = await on_one(host, run(host, fleet.ssh, ["sh", "-c", ASK, "sh", fleet.app], check=True), Refused)
    return dict(line.split("=", 1) for line in decoded(done.out).split("\n") if "=" in line)
