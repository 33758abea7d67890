"""Run containers as test servers, for make. `fleet up BASE HOST…` makes and starts those that do not run yet, of the
Debian image BASE, a container with Postgres and Redis, and a registry. `fleet down NUMBER…` removes the fleets of these
numbers."""

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
    started = time.monotonic()
    names = of_folder()
    made = fleet.up(names, hosts, base)
    print(f"the fleet is up after {time.monotonic() - started:.0f} s\n\n{write_files(made, names.folder)}")


def write_files(machines: fleet.Machines, folder: Path) -> str:
    """Write the files for these machines; return how to use them."""
    hosts = {name: machine for name, machine in machines.items() if machine.kind == "host"}
    jobs = Path(os.environ.get("PROJECT", "project"), "celery.py").exists()  # else the image has no worker
    values = write_settings(hosts, machines["services"].address, folder / "settings", jobs)
    where = os.path.relpath(folder)
    registry = f"127.0.0.1:{machines['registry'].ports[5000]}"
    missing = write_production_toml(hosts, registry, folder / "production.toml", jobs)
    lines = [f"{name:10} {machine.address:15} http://localhost:{machine.ports[80]}" for name, machine in hosts.items()]
    return "\n".join(
        [
            *lines,
            f"{'registry':10} {registry}",
            "",
            *([f"{where}/production.toml stays as it is; to use all servers, add:", *missing] if missing else []),
            "To use them:",
            f"  export DEPLOY_FOLDER={where} SSH_CONFIG={where}/ssh_config",
            "  . ve/bin/activate",
            "  slipway provision",
            f"  slipway env set <{where}/settings",
            "Settings:",
            *(f"  {name}={value}" for name, value in values.items() if name != "SECRET_KEY"),
        ]
    )


def write_settings(hosts: fleet.Machines, services: str, path: Path, jobs: bool) -> dict[str, str]:
    """Write and return the site's settings; keep those that are there already, except addresses. `services`: the
    address of Postgres and Redis. Several web hosts need uploads in a place of all."""
    site = hosts.get("work1") or next(iter(hosts.values()))
    existing = dict(re.findall("^([A-Z_]+)=(.*)$", path.read_text(), re.MULTILINE)) if path.exists() else {}
    values = {
        "SECRET_KEY": secrets.token_hex(32),
        **({"STORAGE_URL": "database:"} if has_several_web_hosts(hosts) else {}),
        **existing,
        "SITE_URL": f"http://localhost:{site.ports[80]}",
        "DATABASE_URL": f"postgres://app:app@{services}:5432/app",
        **({"BROKER_URL": f"redis://{services}:6379/0"} if jobs else {}),
    }
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return values


def has_several_web_hosts(hosts: fleet.Machines) -> bool:
    return len([name for name in hosts if name.startswith("web")]) > 1


def write_production_toml(hosts: fleet.Machines, registry: str, path: Path, jobs: bool) -> list[str]:
    """Write production.toml. If it exists, keep it, and return the tables of servers that it lacks."""
    if not path.exists():
        media = "database" if has_several_web_hosts(hosts) else "local"
        app = os.environ.get("APP", "app")
        image = os.environ.get("IMAGE") or app
        keys = f'# For deploy keys (docs/ci.md), in place of these two lines:\n#image = "{registry}/{app}"\n'
        head = f'app = "{app}"\nimage = "{image}"\nregistry = "ssh"\n{keys}media = "{media}"\n\n'
        path.write_text(head + "\n".join(host_tables(hosts, jobs).values()))
    kept = path.read_text()
    return [
        text
        for name, text in host_tables(hosts, jobs).items()
        if f"[hosts.{name}]" not in kept or f'"{hosts[name].address}"' not in kept
    ]


def host_tables(hosts: fleet.Machines, jobs: bool) -> dict[str, str]:
    """Return each host's table: those named web* serve the site; others run worker and beat, and are balancers."""
    made = {}
    for name, machine in sorted(hosts.items()):
        web = name.startswith("web")
        roles, balancer = ('"web"', "") if web else ('"worker", "beat"' if jobs else "", "balancer = true\n")
        made[name] = f'[hosts.{name}]\nroles = [{roles}]\ninternal = "{machine.address}"\n{balancer}'
    return made


if __name__ == "__main__":
    main(*sys.argv[1:])
