"""Run containers as test servers, for make. `fleet up BASE HOST…` makes and starts those that do not run yet, of the
Debian image BASE, and a container with Postgres and Redis. `fleet down NUMBER…` removes the fleets of these numbers."""

import os
import re
import secrets
import subprocess
import sys
import time
from pathlib import Path

from . import fleet
from .docker import FleetError
from .names import of_folder


def main(command: str, *words: str) -> None:
    try:
        if command == "up":
            return up(*words)
        for number in words:
            fleet.down(of_folder(number=number))
    except (FleetError, OSError, subprocess.TimeoutExpired) as error:
        sys.exit(f"fleet: {error}")


def up(base: str, *hosts: str) -> None:
    started, names = time.monotonic(), of_folder()
    made = fleet.up(names, hosts, base)
    print(f"the fleet is up after {time.monotonic() - started:.0f} s\n\n{usage(made, names.folder)}")


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
    main(*sys.argv[1:])
