"""The fleet's command line: `python -m e2e.fleet up|down` with tests/ as PYTHONPATH."""

import argparse
import shlex
import sys
import time

from . import fleet
from .docker import FleetError
from .names import DEFAULT_HOSTS


def main():
    parser = argparse.ArgumentParser(prog="fleet", description="Test servers in containers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="make and start the servers, or what is missing of them")
    up.add_argument("hosts", nargs="*", help=f"names of hosts (default: {' '.join(DEFAULT_HOSTS)})")
    up.add_argument("--base", default=fleet.BASE, metavar="IMAGE", help="made from this (default: %(default)s)")
    up.set_defaults(do=do_up)
    commands.add_parser("down", help="remove all that up made").set_defaults(do=lambda args: fleet.down())
    args = parser.parse_args()
    try:
        return args.do(args)
    except FleetError as error:
        print(f"fleet: {error}", file=sys.stderr)
        return 1


def do_up(args):
    started = time.monotonic()
    made = fleet.up(args.hosts or DEFAULT_HOSTS, args.base)
    print(f"the fleet is up after {time.monotonic() - started:.0f} s")
    for host in made.hosts.values():
        print(f"  {host.name:10} {host.url}   https 127.0.0.1:{host.machine.ports[443]}   {host.address}")
    print(f"  services   {made.services.address}   {made.services.redis_url}")
    print(f"  registry   {made.registry.address}, from here {made.registry.local}")
    print(f"  log in:    ssh -F {shlex.quote(str(made.ssh_config))} {next(iter(made.hosts), 'services')}")


if __name__ == "__main__":
    sys.exit(main())
