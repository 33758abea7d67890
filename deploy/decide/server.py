"""The packages, files and units that a server needs for the app. Pure but for reading templates."""

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
    """A file as it should be. `once`: a file that is there already keeps its content."""

    path: str
    content: str
    mode: str = "644"
    user: str = "root"
    group: str = "root"
    once: bool = False


def serves_http(host: Host) -> bool:
    """Whether a host has nginx."""
    return host.has("web") or host.balancer


def packages(fleet: Fleet, host: Host, missing: Collection[str]) -> list[str]:
    """Debian's packages for the commands that are `missing`, and those of `server.packages` that are. A command may
    come from elsewhere, too. python3 is there already: the connection needs it."""
    wanted = (("logrotate", "logrotate", True),
              ("dockerd", "docker.io", host.roles),
              ("nginx", "nginx", serves_http(host)),
              ("certbot", "certbot", serves_http(host) and fleet.site["tls"] == "certbot"),
              ("unattended-upgrade", "unattended-upgrades", fleet.server["security_updates"]))
    return [*(package for command, package, needed in wanted if needed and command in missing),
            *(name for name in fleet.server["packages"] if name in missing)]


# ---- files ----

def has_media(fleet: Fleet, host: Host) -> bool:
    """Whether uploads are files on this host."""
    return fleet.media == "local" and (host.has("web") or host.has("worker"))


def has_data(fleet: Fleet) -> bool:
    """Whether the database may be SQLite's file: on one server for all roles."""
    return len(fleet.app_hosts) == 1


def runner_file(fleet: Fleet, host: Host) -> File:
    """/etc/default/APP, for docker-runner."""
    media = ["-v", f"/var/www/{fleet.app}/media:{MEDIA}"] if has_media(fleet, host) else []
    options = shlex.join([*shlex.split(fleet.opts), *shlex.split(host.opts), *media])
    memory = "" if fleet.memory == "auto" else f"MEMORY={fleet.memory.replace('off', '0')}\n"
    return File(f"/etc/default/{fleet.app}", "# For docker-runner; written by provisioning.\n"
                f"IMAGE={fleet.image}\nOPTS={shlex.quote(options)}\n{memory}")


def app_files(fleet: Fleet, host: Host) -> Iterator[File]:
    """Settings and programs. The first file is one of `marks`."""
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
    """What systemd-tmpfiles makes for the app at boot."""
    return File(f"/etc/tmpfiles.d/{app}.conf", render("tmpfiles.d/APP.conf", {"APP": app}))


def socket(app: str) -> str:
    """The link to the live slot's socket, which systemd-tmpfiles makes."""
    return f"/run/{app}/web.sock"


def daemon_json(before: str) -> File | None:
    """daemon.json with our settings added to the content `before`; None where it has them. Raises ValueError where
    `before` is no JSON object."""
    ours, there = json.loads(render("daemon.json", {})), json.loads(before) if before.strip() else {}
    if not isinstance(there, dict):
        raise ValueError("no object")
    merged = {**there, **ours}
    return None if merged == there else File(DAEMON, json.dumps(merged, indent=4) + "\n")


# ---- what is left of an earlier role ----

def stale_units(app: str, host: Host, units: Collection[str]) -> list[str]:
    """Those of the `units` that run on a host which its roles do not need."""
    return [unit for unit in units if template(unit) not in unit_names(app, host)]


def stale_files(app: str, host: Host) -> list[str]:
    """The paths of all files that only roles need which the host does not have."""
    others = {unit.format(app) for unit in (*ROLE_UNITS.values(), *APP_UNITS)} - set(unit_names(app, host))
    return [f"{UNITS}/{name}" for name in sorted(others)] + ([] if host.roles else [tmpfiles(app).path])


def template(unit: str) -> str:
    """The file of a unit: shop-web@a.service → shop-web@.service; any other has its own name."""
    name, at, _ = unit.partition("@")
    return f"{name}@.service" if at else unit


# ---- whether something else uses the app's name ----

def marks(app: str) -> list[str]:
    """The paths of files whose first line says that provisioning wrote them: then the name is this app's."""
    return [f"/etc/default/{app}", f"{UNITS}/{app}.target", f"/etc/tmpfiles.d/{app}.conf",
            f"{site.NGINX}/sites-available/{app}-balancer"]


def named(app: str) -> list[str]:
    """Every path with the app's name that provisioning or a deploy uses, or that would override one of them."""
    names = [name.format(app) for name in (*ROLE_UNITS.values(), *APP_UNITS, "{}-deploy.service")]
    return [*marks(app), f"/var/www/{app}", f"/run/{app}", f"{site.NGINX}/sites-available/{app}",
            *(f"{folder}/tmpfiles.d/{app}.conf" for folder in ("/run", "/usr/lib")),
            *(f"{folder}/{name}" for folder in (UNITS, "/usr/lib/systemd/system") for name in names)]
