"""What a server holds for the app: packages, files, units. Pure but for reading templates."""

import json
import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from . import site
from .config import Fleet, Host
from .render import render

UNITS = "/etc/systemd/system"
ROLE_UNITS = {"web": "{}-web@.service", "worker": "{}-worker@.service", "beat": "{}-beat.service"}
APP_UNITS = ("{}-slot.service", "{}.target")
SHARED_UNITS = ("docker-service@.service", "docker-runner.target")
DOCKER_DROP_IN, NGINX_DROP_IN = "docker.service.d/restart.conf", "nginx.service.d/restart.conf"
DAEMON = "/etc/docker/daemon.json"
MEDIA = "/data/media"  # MEDIA_ROOT in the image, unless the settings say otherwise
FIRST_SETTINGS = """\
# The settings of {app}, KEY=value a line, no quotes; docs/image.md lists them. From now on they are changed by
#   python -m deploy env set NAME
"""
SECURITY_UPDATES = 'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n'


@dataclass(frozen=True)
class File:
    """A file as it should be. `once`: one that is there keeps its content."""

    path: str
    content: str
    mode: str = "644"
    user: str = "root"
    group: str = "root"
    once: bool = False


def serves_http(host: Host) -> bool:
    return host.has("web") or host.balancer


def packages(fleet: Fleet, host: Host, missing: Collection[str]) -> list[str]:
    """Debian's packages for the commands that are missing, which may come from elsewhere; `server.packages` by name.
    python3 is there already: the connection needs it."""
    wanted = {"logrotate": "logrotate"}
    wanted |= {"dockerd": "docker.io"} if host.roles else {}
    wanted |= {"nginx": "nginx"} if serves_http(host) else {}
    wanted |= {"certbot": "certbot"} if serves_http(host) and fleet.site["tls"] == "certbot" else {}
    wanted |= {"unattended-upgrade": "unattended-upgrades"} if fleet.server["security_updates"] else {}
    return [package for command, package in wanted.items() if command in missing] + [
        name for name in fleet.server["packages"] if name in missing]


# ---- files ----

def has_media(fleet: Fleet, host: Host) -> bool:
    return fleet.media == "local" and (host.has("web") or host.has("worker"))


def runner_file(fleet: Fleet, host: Host) -> File:
    """/etc/default/APP, for docker-runner."""
    media = ["-v", f"/var/www/{fleet.app}/media:{MEDIA}"] if has_media(fleet, host) else []
    options = shlex.join([*shlex.split(fleet.opts), *shlex.split(host.opts), *media])
    memory = "" if fleet.memory == "auto" else f"MEMORY={fleet.memory.replace('off', '0')}\n"
    return File(f"/etc/default/{fleet.app}", "# For docker-runner; written by provisioning.\n"
                f"IMAGE={fleet.image}\nOPTS={shlex.quote(options)}\n{memory}")


def app_files(fleet: Fleet, host: Host) -> Iterator[File]:
    """Settings and programs. The first bears the mark that all of the app's name is ours."""
    yield runner_file(fleet, host)
    yield File(f"/etc/default/{fleet.app}.env", FIRST_SETTINGS.format(app=fleet.app), "600", once=True)
    for name in ("docker-runner", "docker-slot"):
        yield File(f"/usr/local/bin/{name}", render(name, {}), "755")
    if fleet.server["security_updates"]:
        yield File("/etc/apt/apt.conf.d/20auto-upgrades", SECURITY_UPDATES)


def unit_names(app: str, host: Host) -> list[str]:
    """The app's units on a host."""
    roles = [unit for role, unit in ROLE_UNITS.items() if host.has(role)]
    return [unit.format(app) for unit in (*roles, *(APP_UNITS if host.roles else ()))]


def unit_files(fleet: Fleet, host: Host) -> Iterator[File]:
    """Units and drop-ins."""
    for name in unit_names(fleet.app, host):
        yield File(f"{UNITS}/{name}", render("systemd/" + name.replace(fleet.app, "APP", 1), {"APP": fleet.app}))
    shared = [*SHARED_UNITS, DOCKER_DROP_IN] if host.roles else []
    for name in [*shared, *([NGINX_DROP_IN] if serves_http(host) else [])]:
        yield File(f"{UNITS}/{name}", render(f"systemd/{name}", {}))


def tmpfiles(app: str) -> File:
    return File(f"/etc/tmpfiles.d/{app}.conf", render("tmpfiles.d/APP.conf", {"APP": app}))


def socket(app: str) -> str:
    """The link to the live slot's socket, which tmpfiles makes."""
    return f"/run/{app}/web.sock"


def daemon_json(before: str) -> File | None:
    """Docker's settings with ours in them; None where they hold ours already. Raises ValueError if `before` is no JSON
    object."""
    ours, there = json.loads(render("daemon.json", {})), json.loads(before) if before.strip() else {}
    if not isinstance(there, dict):
        raise ValueError("no object")
    merged = {**there, **ours}
    return None if merged == there else File(DAEMON, json.dumps(merged, indent=4) + "\n")


# ---- what an earlier role has left ----

def stale_units(app: str, host: Host, units: Collection[str]) -> list[str]:
    """Of the units found at work on a host those that its roles do not ask for."""
    return [unit for unit in units if template(unit) not in unit_names(app, host)]


def stale_files(app: str, host: Host) -> list[str]:
    """Every file that other roles than the host's would have."""
    others = {unit.format(app) for unit in (*ROLE_UNITS.values(), *APP_UNITS)} - set(unit_names(app, host))
    return [f"{UNITS}/{name}" for name in sorted(others)] + ([] if host.roles else [tmpfiles(app).path])


def template(unit: str) -> str:
    """shop-web@a.service → shop-web@.service; any other name is its own."""
    name, at, _ = unit.partition("@")
    return f"{name}@.service" if at else unit


# ---- whose a name is ----

def marks(app: str) -> list[str]:
    """The files that begin by saying that they are ours."""
    return [f"/etc/default/{app}", f"{UNITS}/{app}.target", f"/etc/tmpfiles.d/{app}.conf",
            f"{site.NGINX}/sites-available/{app}-balancer"]


def named(app: str) -> list[str]:
    """Every path that bears the app's name, or would stand for one of ours."""
    names = [name.format(app) for name in (*ROLE_UNITS.values(), *APP_UNITS, "{}-deploy.service")]
    return [*marks(app), f"/var/www/{app}", f"/run/{app}", f"{site.NGINX}/sites-available/{app}",
            *(f"{folder}/tmpfiles.d/{app}.conf" for folder in ("/run", "/usr/lib")),
            *(f"{folder}/{name}" for folder in (UNITS, "/usr/lib/systemd/system") for name in names)]
