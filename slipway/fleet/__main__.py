"""Run containers as test servers: `fleet up [HOST…]` makes them, and a container with Postgres and Redis. `fleet down`
removes them all."""

import argparse
import os
import re
import secrets
import subprocess
import sys
import time
from pathlib import Path

from . import fleet
from .docker import FleetError
from .names import DEFAULT_HOSTS, of_folder


def main() -> None:
    parser = argparse.ArgumentParser(prog="fleet", description="Test servers in containers.")
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    up = commands.add_parser("up", help="make and start all servers that do not run yet")
    up.add_argument("hosts", nargs="*", help=f"names of hosts (default: {' '.join(DEFAULT_HOSTS)})")
    up.add_argument("--base", default=fleet.BASE, metavar="IMAGE", help="image of their Debian (default: %(default)s)")
    up.add_argument("--registry", action="store_true", help="make a registry, too")
    down = commands.add_parser("down", help="remove what `up` has made")
    down.add_argument("numbers", nargs="*", help="numbers of fleets (default: $FLEET, or 1)")
    args = parser.parse_args()
    try:
        if args.command == "down":
            for number in args.numbers or [""]:
                fleet.down(of_folder(number=number))
            return
        started = time.monotonic()
        made = fleet.up(of_folder(), args.hosts or DEFAULT_HOSTS, args.base, args.registry)
        print(f"the fleet is up after {time.monotonic() - started:.0f} s\n\n{usage(made, of_folder().folder)}")
    except (FleetError, OSError, subprocess.TimeoutExpired) as error:
        sys.exit(f"fleet: {error}")


def usage(machines: fleet.Machines, folder: Path) -> str:
    hosts = {name: machine for name, machine in machines.items() if machine.kind == "host"}
    values, where = settings(hosts, machines["services"].address, folder / "settings"), os.path.relpath(folder)
    (folder / "production.toml").write_text(production(hosts))
    lines = [f"{name:10} {machine.address:15} http://localhost:{machine.ports[80]}" for name, machine in hosts.items()]
    return "\n".join([
        *lines, "", "To use them:", f"  export DEPLOY_FOLDER={where} SSH_CONFIG={where}/ssh_config",
        "  make provision", f"  make env ARGS=set <{where}/settings", "Settings:",
        *(f"  {name}={value}" for name, value in values.items() if name != "SECRET_KEY")])


def settings(hosts: fleet.Machines, services: str, path: Path) -> dict[str, str]:
    """Write and return the site's settings; reuse the old SECRET_KEY. `services`: the address of Postgres and Redis."""
    site = hosts.get("work1") or next(iter(hosts.values()))
    known = re.search("^SECRET_KEY=(.*)$", path.read_text(), re.MULTILINE) if path.exists() else None
    values = {"SECRET_KEY": known[1] if known else secrets.token_hex(32),
              "SITE_URL": f"http://localhost:{site.ports[80]}",
              "DATABASE_URL": f"postgres://app:app@{services}:5432/app", "BROKER_URL": f"redis://{services}:6379/0"}
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return values


def production(hosts: fleet.Machines) -> str:
    """Return a production.toml: hosts named web* serve the site; others run worker and beat, and are load balancers."""
    tables = []
    for name, machine in sorted(hosts.items()):
        web = name.startswith("web")
        roles, balancer = ('"web"', "") if web else ('"worker", "beat"', "balancer = true\n")
        tables.append(f'[hosts.{name}]\nroles = [{roles}]\ninternal = "{machine.address}"\n{balancer}')
    return 'registry = "ssh"\nmedia = "database"\n\n' + "\n".join(tables)


if __name__ == "__main__":
    main()
