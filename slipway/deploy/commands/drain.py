"""drain: balancers send a web host no visitors from now on, or some again."""

import argparse

from ..config import Fleet, Host
from ..errors import HostProblem
from ..provisioning.provision import drain
from ..server.site import nginx_address
from ..ssh.connection import run
from ..ssh.conversation import why_ended
from ..ssh.validate import visible

# The balancers' connections to port 80, once there are none for a second or when the time is over. Old workers of nginx
# may take a visitor just after the reload.
LEFT = """
ss --version >/dev/null || exit
left() { ss --no-header --numeric state established "sport = :80 and ( $balancers )" | wc -l; }
until=$(($(date +%s) + $1)) quiet=0 balancers=$2
while [ $quiet -lt 2 ] && [ "$(date +%s)" -lt $until ]; do
    if [ "$(left)" -eq 0 ]; then quiet=$((quiet + 1)); else quiet=0; fi
    sleep 1
done
left
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST")
    parser.add_argument("--end", action="store_true", help="they send it visitors again")
    parser.add_argument("--wait", type=int, default=30, metavar="SECONDS",
                        help="in which the host may answer the requests that it has; default: %(default)s")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    balancers = [host for host in fleet.chosen(args.hosts, balancers=True) if host.balancer]
    await drain(fleet, balancers, args.host, away=not args.end)
    if not args.end:
        host = next(host for host in fleet.hosts if host.name == args.host)
        print(visible(f"{host.name}: {await left(fleet, host, args.wait)}"))


async def left(fleet: Fleet, host: Host, seconds: int) -> str:
    """What the host still has of visitors, in words, after up to so many seconds."""
    peers = " or ".join(f"dst {nginx_address(balancer.internal_address)}" for balancer in fleet.balancers)
    try:
        done = await run(host, fleet.ssh, ["sh", "-c", LEFT, "sh", str(seconds), peers], timeout=seconds + 30)
        if done.code:
            raise HostProblem(why_ended(done.code, done.err))
    except HostProblem as problem:
        return f"drained; it {problem}, so nobody knows what is left"
    count = done.out.decode(errors="replace").strip()
    return "drained" if count == "0" else f"drained, but {count} connections are still open"
