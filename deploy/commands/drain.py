"""drain: balancers send a web host no visitors from now on."""

import argparse

from ..decide.config import Fleet, Host
from ..errors import HostProblem
from ..provisioning.provision import drain
from ..reach.connection import run
from ..reach.validate import visible

# The established connections to port 80, once there are none for a second or when the time is over. Old workers of
# nginx may take a visitor just after the reload.
LEFT = """
left() { cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$2 ~ /:0050$/ && $4 == "01"' | wc -l; }
until=$(($(date +%s) + $1)) quiet=0
while [ $quiet -lt 2 ] && [ "$(date +%s)" -lt $until ]; do
    if [ "$(left)" -eq 0 ]; then quiet=$((quiet + 1)); else quiet=0; fi
    sleep 1
done
left
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST")
    parser.add_argument("--wait", type=int, default=30, metavar="SECONDS",
                        help="in which the host may answer the requests that it has; default: %(default)s")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    await drain(fleet, args.host, away=True)
    host = next(host for host in fleet.hosts if host.name == args.host)
    print(visible(f"{host.name}: {await left(fleet, host, args.wait)}"))


async def left(fleet: Fleet, host: Host, seconds: int) -> str:
    """What the host still has of visitors, in words, after up to so many seconds."""
    try:
        done = await run(host, fleet.ssh, ["sh", "-c", LEFT, "sh", str(seconds)], timeout=seconds + 30)
    except HostProblem as problem:
        return f"drained; it {problem}, so nobody knows what is left"
    count = done.out.decode(errors="replace").strip()
    return "drained" if count == "0" else f"drained, but {count} connections are still open"
