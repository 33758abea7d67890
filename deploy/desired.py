"""What a host should hold, as a list of steps, from the fleet's description and what was found there.

Pure but for reading templates. Each step says how things should be, not what to do; apply.py does what is missing.
"""

import json
import shlex

from .config import Host
from .render import render
from .site import site_of, sites_gone, sites_paths
from .things import Absent, File, Folder, Group, Packages, Service, Stopped, User, merged

UNITS = "/etc/systemd/system"
ROLE_UNITS = {"web": "{}-web@.service", "worker": "{}-worker@.service", "beat": "{}-beat.service"}
APP_UNITS = ("{}-slot.service", "{}.target")
SHARED_UNITS = ("docker-service@.service", "docker-runner.target")
DROP_INS = ("docker.service.d/restart.conf", "nginx.service.d/restart.conf")
# Units that run since before it was there did not ask for what orders a shutdown.
START_TARGET = "systemctl daemon-reload && systemctl start docker-runner.target"
MEDIA = "/data/media"  # MEDIA_ROOT in the image, unless the settings say otherwise
FIRST_SETTINGS = """\
# The settings of {app}, KEY=value a line, no quotes; docs/image.md lists them. From now on they are changed by
#   python -m deploy env set NAME
"""
SECURITY_UPDATES = 'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n'


def steps(fleet, host, found):
    """The steps that make `host` what the fleet says of it."""
    nginx = host.has("web") or host.balancer
    return [
        *packages(fleet, host, found, nginx),
        *(app_files(fleet, host) if host.roles else ()),
        Group(tuple(units(fleet, host, nginx)), START_TARGET if host.roles else "systemctl daemon-reload"),
        *([Service("docker-runner.target", running=False)] if host.roles else ()),
        *(engine(found) if host.roles else ()),
        *(tmpfiles(fleet.app, found) if host.roles else ()),
        *gone(fleet, host, found),
        *site_of(fleet, host, found),
        *([Service("nginx.service")] if nginx else ()),
        *([Service(f"{fleet.app}.target", running=False)] if host.roles else ()),
    ]


def removal(fleet, host, found):
    """The steps that take the app off a host. Data and settings stay."""
    return gone(fleet, Host(host.name, host.address), found)


def packages(fleet, host, found, nginx):
    """What is missing, by the commands it brings, which may come from elsewhere; `server.packages` by name."""
    wanted = {"python3": "python3", "logrotate": "logrotate"}
    wanted |= {"dockerd": "docker.io", "docker": "docker-cli"} if host.roles else {}
    wanted |= {"nginx": "nginx"} if nginx else {}
    wanted |= {"certbot": "certbot"} if nginx and fleet.site["tls"] == "certbot" else {}
    wanted |= {"unattended-upgrade": "unattended-upgrades"} if fleet.server["security_updates"] else {}
    names = [package for command, package in wanted.items() if command in found.missing]
    names += [name for name in fleet.server["packages"] if name in found.missing]
    return [Packages(tuple(names))] if names else []


def app_files(fleet, host):
    """The app's user, folders and settings."""
    app, var, etc = fleet.app, f"/var/www/{fleet.app}", f"/etc/default/{fleet.app}"
    media = fleet.media == "local" and (host.has("web") or host.has("worker"))
    opts = [*shlex.split(fleet.opts), *shlex.split(host.opts), *(["-v", f"{var}/media:{MEDIA}"] if media else [])]
    # First, as it says that all of the name is ours, should provisioning break off after it.
    memory = "" if fleet.memory == "auto" else f"MEMORY={fleet.memory.replace('off', '0')}\n"
    yield File(etc, f"# For docker-runner; written by provisioning.\nIMAGE={fleet.image}\n"
                    f"OPTS={shlex.quote(shlex.join(opts))}\n" + memory)
    yield User(app)
    yield Folder("/var/www")
    yield Folder(var, "755")
    yield Folder(f"{var}/static", "755")
    if media:
        yield Folder(f"{var}/media", "2750", app, "www-data")
    yield Folder(f"{etc}.secrets", "750", "root", app)
    yield File(f"{etc}.env", FIRST_SETTINGS.format(app=app), "600", once=True)
    for name in ("docker-runner", "docker-slot"):
        yield File(f"/usr/local/bin/{name}", render(name, {}), "755")
    if fleet.server["security_updates"]:
        yield File("/etc/apt/apt.conf.d/20auto-upgrades", SECURITY_UPDATES)


def unit_files(app, host):
    """The app's unit files on a host: their names."""
    roles = [ROLE_UNITS[role] for role in ROLE_UNITS if host.has(role)]
    return [name.format(app) for name in (*roles, *(APP_UNITS if host.roles else ()))]


def units(fleet, host, nginx):
    """All unit files and drop-ins."""
    for name in unit_files(fleet.app, host):
        yield File(f"{UNITS}/{name}", render("systemd/" + name.replace(fleet.app, "APP", 1), {"APP": fleet.app}))
    for name in SHARED_UNITS if host.roles else ():
        yield File(f"{UNITS}/{name}", render(f"systemd/{name}", {}))
    for name, wanted in zip(DROP_INS, (bool(host.roles), nginx)):
        if wanted:
            yield Folder(f"{UNITS}/{name.rpartition('/')[0]}")
            yield File(f"{UNITS}/{name}", render(f"systemd/{name}", {}))


def engine(found):
    """Docker runs, and its containers outlive it. Never restarted: a reload is enough."""
    yield Service("docker.service")
    content = None if found.swarm else merged(found.daemon_json, json.loads(render("daemon.json", {})))
    if content:
        yield Folder("/etc/docker")
        yield Group((File("/etc/docker/daemon.json", content),), "systemctl reload docker.service")


def tmpfiles(app, found):
    path = f"/etc/tmpfiles.d/{app}.conf"
    yield Group((File(path, render("tmpfiles.d/APP.conf", {"APP": app})),), f"systemd-tmpfiles --create {path}",
                anyway=f"/run/{app}/web.sock" not in found.paths)


def gone(fleet, host, found):
    """What an earlier role has left: nginx lets go first, then units stop, then their files go."""
    kept = unit_files(fleet.app, host)
    paths = [f"{UNITS}/{name.format(fleet.app)}" for name in (*ROLE_UNITS.values(), *APP_UNITS)
             if name.format(fleet.app) not in kept]
    paths += [] if host.roles else [f"/etc/tmpfiles.d/{fleet.app}.conf"]
    stopped = tuple(unit for unit in found.units if template(unit) not in kept)
    there = tuple(Absent(path) for path in paths if path in found.paths)
    return [*sites_gone(fleet, host, found),
            *([Stopped(stopped)] if stopped else ()),
            *([Group(there, "systemctl daemon-reload")] if there else ())]


def template(unit):
    """shop-web@a.service → shop-web@.service; any other name is its own."""
    name, at, rest = unit.partition("@")
    return f"{name}@.service" if at else unit


def paths_that_matter(fleet):
    """Every path whose being there makes a difference."""
    app = fleet.app
    names = [name.format(app) for name in (*ROLE_UNITS.values(), *APP_UNITS)]
    return [*(f"{UNITS}/{name}" for name in names), f"/etc/tmpfiles.d/{app}.conf", f"/run/{app}/web.sock",
            *sites_paths(fleet)]


def marks(app):
    """The files that begin by saying that they are ours."""
    return [f"/etc/default/{app}", f"{UNITS}/{app}.target", f"/etc/tmpfiles.d/{app}.conf",
            f"/etc/nginx/sites-available/{app}-balancer"]


def named(app):
    """Every path that bears the app's name, or would stand for one of ours."""
    names = [name.format(app) for name in (*ROLE_UNITS.values(), *APP_UNITS, "{}-deploy.service")]
    return [*marks(app), f"/var/www/{app}", f"/run/{app}", f"/etc/nginx/sites-available/{app}",
            *(f"{folder}/tmpfiles.d/{app}.conf" for folder in ("/run", "/usr/lib")),
            *(f"{folder}/{name}" for folder in (UNITS, "/usr/lib/systemd/system") for name in names)]
