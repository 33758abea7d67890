"""The command `drain`."""

import argparse
from collections.abc import Coroutine
from typing import Any

from ..agent.groups import plural
from ..config import Fleet, Host
from ..errors import HostProblem
from ..provisioning import virtualenv
from ..provisioning.provision import drain
from ..server.site import nginx_address
from ..ssh.connection import run
from ..ssh.validate import decoded

# This script waits until the balancers have no connection to port 80 here, or the time is over, and writes the number.
# It must count zero twice, a second apart: just after nginx has reloaded, its old workers may still open a connection.
# It does not count again after that, as each balancer asks this host every second whether it is ready.
LEFT = """
ss --version >/dev/null || exit
until=$(($(cut -d. -f1 /proc/uptime) + $1)) quiet=0
while :; do
    count=$(ss --no-header --numeric state established "sport = :80 and ( $2 )" | wc -l)
    if [ "$count" -eq 0 ]; then quiet=$((quiet + 1)); else quiet=0; fi
    if [ $quiet -eq 2 ] || [ "$(cut -d. -f1 /proc/uptime)" -ge $until ]; then break; fi
    sleep 1
done
echo "$count"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST")
    parser.add_argument("--end", action="store_true", help="resume sending visitors to HOST")
    parser.add_argument(
        "--wait",
        type=int,
        default=30,
        metavar="SECONDS",
        help="time for the host to finish its requests; default: %(default)s",
    )


def handle(fleet: Fleet, args: argparse.Namespace) -> Coroutine[Any, Any, None]:
    virtualenv.enter()
    return work(fleet, args)


async def work(fleet: Fleet, args: argparse.Namespace) -> None:
    balancers = [host for host in fleet.chosen(args.hosts, balancers=True) if host.balancer]
    await drain(fleet, balancers, args.host, away=not args.end)
    if not args.end:
        host = next(host for host in fleet.hosts if host.name == args.host)
        print(f"{host.name}: {await await_drained(fleet, host, args.wait)}")


async def await_drained(fleet: Fleet, host: Host, seconds: int) -> str:
    """Wait up to `seconds` until balancers have no open connection to the host. Return a text such as "drained"."""
    peers = " or ".join(f"dst {nginx_address(balancer.internal_address)}" for balancer in fleet.balancers)
    try:
        words = ["sh", "-c", LEFT, "sh", str(seconds), peers]
        done = await run(host, fleet.ssh, words, timeout=seconds + 30, check=True)
    except HostProblem as problem:
        return f"drained, but its open connections are unknown: {problem}"
    count = int(decoded(done.out))
    return f"drained, but {plural(count, 'connection')} still open" if count else "drained"
