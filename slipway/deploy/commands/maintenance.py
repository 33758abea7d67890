"""maintenance: show visitors the maintenance page, or tell if they see it. A file beside nginx's configuration turns it
on at once, and stays over a reboot."""

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from ..config import Fleet, Host
from ..errors import DeployError, HostProblem, Refused
from ..server.files import serves_http
from ..ssh import child
from ..ssh.connection import run, who
from ..ssh.conversation import why_ended
from ..ssh.gather import on_each
from ..ssh.validate import decoded

SCRIPT = """
set -e
grep -qs _closed "/etc/nginx/sites-available/$2" || { echo "run slipway provision first" >&2; exit 1; }
cd "/etc/nginx/$2"
trap 'rm -f maintenance.new' EXIT
case $1 in
    on) [ -f maintenance ] && [ ! -L maintenance ] || { echo "$3" >maintenance.new; mv maintenance.new maintenance; } ;;
    off) rm -f maintenance ;;
esac
sync
if [ -e maintenance ]; then cat maintenance; else echo off; fi
"""

# Turn the page on until stdin ends, or says nothing for a minute. A link to /run does not stay over a reboot. A page
# that somebody turned on by `on` stays.
UNTIL_END = """
grep -qs _closed "/etc/nginx/sites-available/$1" || { echo "run slipway provision first" >&2; exit 1; }
cd "/etc/nginx/$1" || exit
[ ! -e maintenance ] || { echo stays; exit; }
page=/run/$1.maintenance
trap 'rm -f "$page"; [ ! -L maintenance ] || rm maintenance' EXIT
{ echo "$2" >"$page" && ln -sfn "$page" maintenance; } || exit
echo on
while read -r -t 60 _; do :; done
"""
BEAT = 15  # seconds


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
        words = ["sh", "-c", SCRIPT, "sh", action, site_name(fleet, host), who("on")]
        state = decoded((await run(host, fleet.ssh, words, check=True)).out)
        tell(host.name, state)
        return state

    return await on_each([host for host in hosts if serves_http(host)], change, DeployError)


def site_name(fleet: Fleet, host: Host) -> str:
    return fleet.app if host.has("web") else f"{fleet.app}-balancer"


@contextlib.asynccontextmanager
async def page_meanwhile(fleet: Fleet, hosts: Sequence[Host]) -> AsyncIterator[None]:
    """Show visitors of these hosts the maintenance page until the block ends, or a minute after this machine is gone.
    Raise DeployError, before the block, if a host cannot."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_page(host: Host) -> None:
            await stack.enter_async_context(page_of_host(fleet, host))

        await on_each([host for host in hosts if serves_http(host)], open_page, DeployError)
        yield


@contextlib.asynccontextmanager
async def page_of_host(fleet: Fleet, host: Host) -> AsyncIterator[None]:
    words = ["bash", "-c", UNTIL_END, "bash", site_name(fleet, host), who("on")]
    process = await child.start(fleet.ssh.command(host.address, words))
    try:
        await wait_for_line(process)
        beats = asyncio.create_task(beat(process))
        try:
            yield
        finally:
            beats.cancel()
    finally:
        await process.close(grace=10)


async def wait_for_line(process: child.Process) -> None:
    """Wait until the page is on. Raise HostProblem if it is not."""
    try:
        async with asyncio.timeout(60):
            if not await process.out.readline():
                raise HostProblem(why_ended(await process.ended(), process.err))
    except TimeoutError:
        raise HostProblem("no answer within 60 s") from None


async def beat(process: child.Process) -> None:
    while True:
        await asyncio.sleep(BEAT)
        process.write(b"\n")
