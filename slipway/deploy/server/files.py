"""The packages, files and units of a server."""

import json
import re
import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ..agent.host import JOURNALD, UNITS
from ..agent.roles import BUILT_IN, Process
from ..config import Fleet, Host
from . import site
from .render import render

APP_UNITS = ("{}-slot.service", "{}.target")
# Hosts of a swarm get neither these programs nor the units below. A host that has only services gets no docker-slot.
PROGRAMS = (("docker-stop", "docker_stop.py"), ("docker-runner", "docker-runner"))
SLOT = ("docker-slot", "docker-slot")
SERVICE = ("docker-service", "docker-service")
SHARED_UNITS = (
    "docker-service@.service",
    "docker-runner.target",
    "docker-killed.path",
    "docker-killed.service",
    "nginx-first.service",
)
DAEMON = "/etc/docker/daemon.json"
MEDIA = "/data/media"  # the image's default MEDIA_ROOT
FIRST_SETTINGS = """\
# The settings of {app}, KEY=value a line, no quotes; docs/image.md lists them. Change them only by
#   slipway env set NAME
"""
STOPPING = 30  # seconds added to a process's `stop`, for docker-runner to ask Docker, kill and remove the container


@dataclass(frozen=True)
class File:
    """A file on a server. `once`: an existing file keeps its content."""

    path: str
    content: str
    mode: str = "644"
    user: str = "root"
    group: str = "root"
    once: bool = False


@dataclass(frozen=True)
class Folder:
    """A folder on a server."""

    path: str
    mode: str
    user: str = "root"
    group: str = "root"


def serves_http(host: Host) -> bool:
    return host.has("web") or host.balancer


def runs_containers(host: Host) -> bool:
    return bool(host.roles or host.services)


def packages(fleet: Fleet, host: Host, missing: Collection[str]) -> list[str]:
    """Return the Debian packages of those `missing` commands that the host needs."""
    candidates = (
        ("logrotate", "logrotate", True),
        ("dockerd", "docker.io", runs_containers(host)),
        ("nginx", "nginx", serves_http(host)),
        ("certbot", "certbot", serves_http(host) and fleet.site["tls"] == "certbot"),
    )
    return [package for command, package, needed in candidates if needed and command in missing]


# ---- files ----


def by_units(fleet: Fleet, host: Host) -> bool:
    """Return True if systemd units run the app on this host. In a swarm, Docker runs it."""
    return bool(host.roles) and not fleet.is_swarm


def has_units(fleet: Fleet, host: Host) -> bool:
    """Return True if systemd units run containers on this host: the app's, or its services."""
    return runs_containers(host) and not fleet.is_swarm


def has_media(fleet: Fleet, host: Host) -> bool:
    return fleet.media == "local" and bool({*host.roles} - {"beat"})


def runner_file(fleet: Fleet, host: Host) -> File:
    media = ["-v", f"/var/www/{fleet.app}/media:{MEDIA}"] if has_media(fleet, host) else []
    options = shlex.join([*shlex.split(fleet.opts), *shlex.split(host.opts), *media, *sockets(fleet)])
    memory = "" if fleet.memory == "auto" else f"MEMORY={fleet.memory.replace('off', '0')}\n"
    static = f"STATIC={bucket}\n" if (bucket := fleet.static["publish"]) else ""
    return File(
        f"/etc/default/{fleet.app}",
        "# For docker-runner; written by provisioning.\n"
        f"IMAGE={fleet.image}\nOPTS={shlex.quote(options)}\n{memory}{static}",
    )


def sockets(fleet: Fleet) -> list[str]:
    """Return options of `docker run` by which the app's containers see the sockets of its services, or certificates."""
    folders = [f"/run/{fleet.app}-{service.kind}" for service in fleet.services if fleet.by_socket]
    mounts = [f"{folder}:{folder}" for folder in folders]
    if any(service.tls for service in fleet.services):
        mounts.append(f"/etc/default/{fleet.app}.services.d:/run/services:ro")
    return [word for mount in mounts for word in ("-v", mount)]


def app_files(fleet: Fleet, host: Host) -> Iterator[File]:
    """Yield /etc/default/APP, then APP.env. The first file shows that Slipway uses the name APP."""
    yield runner_file(fleet, host)
    yield File(f"/etc/default/{fleet.app}.env", FIRST_SETTINGS.format(app=fleet.app), "600", once=True)


def app_folders(fleet: Fleet, host: Host) -> Iterator[Folder]:
    app, var = fleet.app, f"/var/www/{fleet.app}"
    yield from (Folder(var, "755"), Folder(f"{var}/static", "755"))
    yield Folder(f"/etc/default/{app}.secrets", "750", "root", app)
    if has_media(fleet, host):
        yield Folder(f"{var}/media", "2750", app, "www-data")
    if len(fleet.app_hosts) == 1:  # the database may be SQLite
        yield Folder(f"{var}/data", "700", app, app)


def programs(fleet: Fleet, host: Host) -> Iterator[File]:
    if has_units(fleet, host):
        slot, service = [SLOT] if host.roles else [], [SERVICE] if host.services else []
        for name, template in (*PROGRAMS, *slot, *service):
            yield File(f"/usr/local/bin/{name}", render(template, {}), "755")


def process_unit(app: str, process: Process) -> File:
    """Return a process's unit. The agent reads the process's definition from this unit."""
    name = f"{app}-{process.name}"
    file = f"{name}@.service" if process.overlap else f"{name}.service"
    by_clock = ["-e NO_COMMAND=127"] if process.schedule else []
    options = " ".join([process.options.format(app), *by_clock, *(f"-p {port}" for port in process.ports)]).strip()
    values = {
        "APP": app,
        "NAME": process.name,
        "FILE": file,
        "COMMAND": systemd_words(process.command),
        "READY": process.ready,
        "OPTIONS": options,
        "STOP": str(process.stop),
        "LIMIT": str(process.stop + STOPPING),
        "CONTAINER": render("systemd/container.conf", {}),
    }
    values |= (
        {
            "UNIT": f"{name}-%i",
            "SLOT": "--slot %i ",
            "IN_SLOT": "in slot %i",
            "MOUNT": f"RequiresMountsFor=/run/{app}/%i",
        }
        if process.overlap
        else {"UNIT": name, "SLOT": f"--slot {process.name} ", "IN_SLOT": "", "MOUNT": ""}
    )
    if process.schedule:  # before the first deploy there is nothing to run
        values |= {
            "SLOT": "--once ",
            "MOUNT": f"ConditionPathExists=/var/www/{app}/TAG",
            "CONTAINER": values["CONTAINER"] + render("systemd/timed.conf", values),
        }
    return File(f"{UNITS}/{file}", render("systemd/APP-PROCESS.service", values))


def timer(app: str, process: Process) -> File:
    values = {"APP": app, "NAME": process.name, "SCHEDULE": process.schedule}
    return File(f"{UNITS}/{app}-{process.name}.timer", render("systemd/APP-PROCESS.timer", values))


def systemd_words(line: str) -> str:
    quoted = (re.sub(r'(["\\])', r"\\\1", word).replace("%", "%%").replace("$", "$$") for word in shlex.split(line))
    return " ".join(word if re.fullmatch(r"[\w./:=,@+%$-]+", word) else f'"{word}"' for word in quoted)


def app_units(fleet: Fleet, host: Host) -> Iterator[File]:
    if not by_units(fleet, host):
        return
    yield from (process_unit(fleet.app, process) for name, process in fleet.roles.items() if host.has(name))
    yield from (timer(fleet.app, process) for name, process in fleet.timed.items() if host.has(name))
    for name in APP_UNITS:
        yield File(f"{UNITS}/{name.format(fleet.app)}", render("systemd/" + name.format("APP"), {"APP": fleet.app}))


def unit_files(fleet: Fleet, host: Host) -> Iterator[File]:
    yield from app_units(fleet, host)
    candidates = [
        *((name, has_units(fleet, host)) for name in SHARED_UNITS),
        ("docker.service.d/restart.conf", runs_containers(host)),
        ("nginx.service.d/restart.conf", serves_http(host)),
        ("balancer-hosts@.service", host.balancer),
    ]
    values = {"CONTAINER": render("systemd/container.conf", {})}
    for name in (name for name, needed in candidates if needed):
        yield File(f"{UNITS}/{name}", render(f"systemd/{name}", values))
    yield File(JOURNALD, render("journald.conf", {}))


def balancer_hosts() -> File:
    return File("/usr/local/bin/balancer-hosts", render("balancer_hosts.py", {}), "755")


def tmpfiles(fleet: Fleet) -> File:
    name = "APP-proxy" if fleet.is_swarm else "APP"
    return File(f"/etc/tmpfiles.d/{fleet.app}.conf", render(f"tmpfiles.d/{name}.conf", {"APP": fleet.app}))


def daemon_json(before: str, swarm: bool = False) -> File | None:
    """Set Slipway's settings in daemon.json, whose text is `before`. Return the file; None if nothing changes. Raise
    ValueError if `before` is neither blank nor a JSON object. `swarm`: turn off live-restore, which a swarm forbids."""
    ours, current = json.loads(render("daemon.json", {})), json.loads(before) if before.strip() else {}
    ours |= {"live-restore": False} if swarm else {}
    if not isinstance(current, dict):
        raise ValueError("no object")
    merged = {**current, **ours}
    return None if merged == current else File(DAEMON, json.dumps(merged, indent=4) + "\n")


# ---- leftovers of an earlier role ----


def stale_units(fleet: Fleet, host: Host, units: Collection[str]) -> list[str]:
    """Return those of the app's `units` that the host does not need. Those of backups are backups.stale_units'. `units`
    has no service that a timer starts."""
    needed = {file.path for file in unit_files(fleet, host)} - {
        f"{UNITS}/{fleet.app}-{name}.service" for name in fleet.timed
    }
    backup = rf"docker-backup-[a-z]+@{fleet.app}\.(timer|service)"
    return [
        unit
        for unit in units  # shop-web@a.service, for example, has the file shop-web@.service
        if not re.fullmatch(backup, unit) and f"{UNITS}/{re.sub('@.*', '@.service', unit)}" not in needed
    ]


def stale_files(fleet: Fleet, host: Host, names: Collection[str]) -> list[str]:
    """Return the files of units that the host does not need. `names`: units on the host, such as "smtp" or "web@"."""
    needed, app = [file.path for file in app_units(fleet, host)], fleet.app
    names = sorted(
        {
            *names,
            *(
                process_unit(app, process).path[len(f"{UNITS}/{app}-") : -len(".service")]
                for process in BUILT_IN.values()
            ),
        }
    )
    units = {f"{UNITS}/{app}-{name}.service": name for name in names}
    units |= {f"{UNITS}/{app}-{name}.timer": "" for name in names if not name.endswith("@")}
    units |= {f"{UNITS}/{name.format(app)}": "" for name in APP_UNITS}
    stale = {path: name for path, name in sorted(units.items()) if path not in needed}
    pinned = [
        f"/run/{app}/{name}.{kind}"
        for name in stale.values()
        if name and not name.endswith("@")
        for kind in ("env", "tag")
    ]
    # Without its stamp, a timer that comes back does not make up for a run it "missed".
    stamps = [f"/var/lib/systemd/timers/stamp-{path.rpartition('/')[2]}" for path in stale if path.endswith(".timer")]
    addresses = [] if fleet.services else [f"/etc/default/{app}.services"]
    return [*stale, *pinned, *stamps, *addresses, *([] if host.roles else [tmpfiles(fleet).path])]


# ---- is the app's name in use? ----


def marks(app: str) -> list[str]:
    """Return the paths of files whose first line shows if provisioning wrote them."""
    return [
        f"/etc/default/{app}",
        f"{UNITS}/{app}.target",
        f"/etc/tmpfiles.d/{app}.conf",
        f"{site.NGINX}/sites-available/{app}-balancer",
    ]


def named(app: str) -> list[str]:
    """Return paths with the app's name. If one exists before the first provisioning, something else uses the name."""
    names = [process_unit(app, process).path.rpartition("/")[2] for process in BUILT_IN.values()]
    names += [name.format(app) for name in (*APP_UNITS, "{}-deploy.service")]
    return [
        *marks(app),
        f"/var/www/{app}",
        f"/run/{app}",
        f"{site.NGINX}/sites-available/{app}",
        *(f"{folder}/tmpfiles.d/{app}.conf" for folder in ("/run", "/usr/lib")),
        *(f"{folder}/{name}" for folder in (UNITS, "/usr/lib/systemd/system") for name in names),
    ]
