"""maintenance: show visitors the maintenance page, or tell if they see it. A file beside nginx's configuration turns it
on at once, and stays over a reboot."""

import argparse
from collections.abc import Callable, Sequence

from ..config import Fleet, Host
from ..errors import DeployError, Refused
from ..server.files import serves_http
from ..ssh.connection import run, who
from ..ssh.gather import on_each
from ..ssh.validate import decoded

SCRIPT = """
set -e
grep -qs _closed "/etc/nginx/sites-available/$2" || { echo "run slipway provision first" >&2; exit 1; }
cd "/etc/nginx/$2"
trap 'rm -f maintenance.new' EXIT
case $1 in
    on) [ -e maintenance ] || { echo "$3" >maintenance.new; mv maintenance.new maintenance; } ;;
    off) rm -f maintenance ;;
esac
sync
if [ -e maintenance ]; then cat maintenance; else echo off; fi
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", default="status", choices=["on", "off", "status"])


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    hosts = fleet.chosen(args.hosts, balancers=True)
    if not any(map(serves_http, hosts)):
        raise Refused("none of these hosts answers visitors: name web hosts or balancers")
    await switch_page(fleet, hosts, args.action, lambda *said: print(*said, sep=": "))


async def switch_page(
    fleet: Fleet, hosts: Sequence[Host], action: str, tell: Callable[[str, str], None] = lambda name, state: None
) -> dict[str, str]:
    """Turn the page "on" or "off", or ask for its "status". Return host name → "off", or who turned it on when; `tell`
    gets them one by one."""

    async def change(host: Host) -> str:
        site = fleet.app if host.has("web") else f"{fleet.app}-balancer"
        words = ["sh", "-c", SCRIPT, "sh", action, site, who("on")]
        state = decoded((await run(host, fleet.ssh, words, check=True)).out)
        tell(host.name, state)
        return state

    return await on_each([host for host in hosts if serves_http(host)], change, DeployError)
