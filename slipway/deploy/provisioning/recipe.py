"""The recipe that sets up a server. When the recipe calls an operation, session.py runs or checks it. `_if` is an
operation's condition, mostly that another operation has changed something."""

import os
import shlex
from collections.abc import Callable

from pyinfra.api.operation import OperationMeta
from pyinfra.context import host
from pyinfra.operations import apt, files, server, systemd
from pyinfra.operations.util import any_changed

from ..agent.host import UNITS
from ..config import Fleet, Host
from ..errors import HostProblem
from ..server import consul, site
from ..server import files as wanted
from ..server.files import File
from ..server.site import Out
from .fitness import Found
from .operations import Entry, Files, nginx_site, whole_file

# A Consul agent that does not run needs no reload: it reads its files at its start.
RELOAD_CONSUL = "! systemctl --quiet is-active consul.service || systemctl reload consul.service"
# After its reload, Docker needs a moment to turn live-restore off. Only then can the host join a swarm.
LIVE_RESTORE_ENDS = """
for _ in $(seq 100); do [ "$(docker info --format '{{.LiveRestoreEnabled}}')" != false ] || exit 0; sleep 0.1; done
echo "Docker keeps live-restore on, 10 s after its reload" >&2
exit 1
"""
LONG = 1000  # seconds: the `_timeout` of slow operations, which session.py announces
APT = "-o DPkg::Lock::Timeout=300"


def provision(fleet: Fleet, here: Host, found: Found, out: Out, team: Callable[[Fleet, Host], None]) -> None:
    check_left(fleet, here, out)
    install(fleet, here, found)
    there = host.get_fact(Files, paths=paths(fleet, here, found))
    if here.roles:
        app(fleet, here, found, there)
    units(fleet, here, there)
    if here.roles:
        docker(fleet, found)
        sockets(fleet, there)
    take_away(fleet, here, found, there)
    if wanted.serves_http(here):
        nginx(fleet, here, there, out)
    if consul.registers(fleet, here):
        definition = consul.service(fleet, here)
        server.shell(
            name="reload consul.service",
            _if=write(definition, there).did_change,
            commands=(f"{RELOAD_CONSUL} || {{ rm -f {definition.path}; exit 1; }}"),
        )  # without rm, the next run skips the reload
    if wanted.by_units(fleet, here):
        enable(f"{fleet.app}.target")
        for name in filter(here.has, fleet.timed):
            enable(f"{fleet.app}-{name}.timer", running=True)
    team(fleet, here)


def drain(fleet: Fleet, here: Host, found: Found, out: Out, name: str, away: bool) -> None:
    out = Out(site.drained(fleet, out.drained, name, away), out.silent)
    check_left(fleet, here, out)
    change = nginx_site(name=f"{'drain' if away else 'undrain'} {name}", site=site.hosts_site(fleet, out))
    server.shell(name="update the list of hosts", commands=f"balancer-hosts {fleet.app} again", _if=change.did_change)


def check_left(fleet: Fleet, here: Host, out: Out) -> None:
    if here.balancer and (problem := site.nobody_left(fleet, out)):
        raise HostProblem(problem)


def remove(fleet: Fleet, here: Host, found: Found, out: Out) -> None:
    """Remove the app from a host. Keep data and settings."""
    nothing = Host(here.name, here.address)
    take_away(fleet, nothing, found, host.get_fact(Files, paths=paths(fleet, nothing, found)))


def paths(fleet: Fleet, here: Host, found: Found) -> list[str]:
    app = [*wanted.app_files(fleet, here), wanted.tmpfiles(fleet)] if here.roles else []
    return [
        *(file.path for file in (*app, *wanted.unit_files(fleet, here))),
        *wanted.stale_files(fleet, here, found.processes),
        consul.service_path(fleet.app),
        wanted.balancer_hosts().path,
        *(path for stale in site.stale_sites(fleet, here) for path in stale.paths),
        f"/run/{fleet.app}/web.sock",
        *filter(None, site.certificate_files(fleet)),
    ]


def install(fleet: Fleet, here: Host, found: Found) -> None:
    """Install missing packages. Debian 13 has Docker's client in a package of its own, docker-cli."""
    packages = wanted.packages(fleet, here, found.missing)
    client = bool(here.roles) and "docker" in found.missing
    masked = "nginx" in packages
    if masked:  # Debian starts nginx with a page of its own, which a balancer would show to visitors
        server.shell(name="keep nginx.service from starting", commands="systemctl mask --runtime nginx.service")
    if packages:
        apt.packages(
            name=f"install {', '.join(packages)}", packages=packages, update=True, extra_install_args=APT, _timeout=LONG
        )
    if masked:
        server.shell(name="allow nginx.service to start", commands="systemctl unmask --runtime nginx.service")
    if client:
        server.shell(
            name="install docker-cli, if Debian has it",
            _timeout=LONG,
            commands=[
                *([] if packages else ["apt-get update"]),
                f"! apt-cache show docker-cli >/dev/null 2>&1 || "
                f"DEBIAN_FRONTEND=noninteractive apt-get {APT} install -y docker-cli",
            ],
        )


def app(fleet: Fleet, here: Host, found: Found, there: dict[str, Entry]) -> None:
    var, (mark, *rest) = f"/var/www/{fleet.app}", wanted.app_files(fleet, here)
    write(mark, there)  # first: this file marks the app's name as ours, even if provisioning fails later
    if not found.user:  # pyinfra's own check reads all users, which is slow
        server.group(name=f"add group {fleet.app}", group=fleet.app, system=True)
        server.user(  # noqa: S604  `shell` is the user's login shell
            name=f"add user {fleet.app}",
            user=fleet.app,
            group=fleet.app,
            system=True,
            home="/nonexistent",
            shell="/usr/sbin/nologin",
            ensure_home=False,
        )
    folder(var, "755", "root", "root")
    folder(f"{var}/static", "755", "root", "root")
    if wanted.has_media(fleet, here):
        folder(f"{var}/media", "2750", fleet.app, "www-data")
    if len(fleet.app_hosts) == 1:  # the database may be SQLite
        folder(f"{var}/data", "700", fleet.app, fleet.app)
    folder(f"/etc/default/{fleet.app}.secrets", "750", "root", fleet.app)
    for file in rest:
        write(file, there)


def units(fleet: Fleet, here: Host, there: dict[str, Entry]) -> None:
    files_of_units = list(wanted.unit_files(fleet, here))
    for path in sorted({os.path.dirname(file.path) for file in files_of_units} - {UNITS}):
        folder(path)
    written = {file.path: write(file, there) for file in files_of_units}
    systemd.daemon_reload(name="reload systemd", _if=any_changed(*written.values()))
    server.shell(
        name="restart systemd-journald.service",
        _if=written[wanted.JOURNALD].did_change,
        commands=["systemctl restart systemd-journald.service", "journalctl --flush"],
    )  # no line is lost: systemd has the sockets


def docker(fleet: Fleet, found: Found) -> None:
    """Set up Docker, with live-restore unless the host is a swarm node. Reload Docker; never restart it."""
    enable("docker.service", running=True)
    settings = wanted.daemon_json(found.daemon_json, fleet.is_swarm)
    if settings and (fleet.is_swarm or not found.node):
        folder("/etc/docker")
        written = write(settings)
        server.shell(
            name="reload docker.service",
            _if=written.did_change,
            commands=["systemctl reload docker.service", *([LIVE_RESTORE_ENDS] if fleet.is_swarm else [])],
        )


def sockets(fleet: Fleet, there: dict[str, Entry]) -> None:
    file = wanted.tmpfiles(fleet)
    written = write(file, there)
    server.shell(
        name=f"create the paths of {file.path}",
        commands=f"systemd-tmpfiles --create {file.path}",
        _if=lambda: written.did_change() or f"/run/{fleet.app}/web.sock" not in there,
    )


def take_away(fleet: Fleet, here: Host, found: Found, there: dict[str, Entry]) -> None:
    """Remove what belongs to roles that the host no longer has."""
    if found.registered and not consul.registers(fleet, here):
        path = consul.service_path(fleet.app)
        server.shell(
            name=f"remove {path}",
            commands=(  # if the reload fails, restore the file for the next try
                f"mv {path} {path}.gone; {RELOAD_CONSUL} || {{ mv {path}.gone {path}; exit 1; }}; rm {path}.gone"
            ),
        )
    for stale in site.stale_sites(fleet, here):
        if set(stale.paths) & set(there):
            nginx_site(name=f"remove nginx site {stale.name}", site=stale)
    if running := wanted.stale_units(fleet, here, found.units):
        stop(running)
    gone = [
        files.file(name=f"remove {path}", path=path, present=False)
        for path in wanted.stale_files(fleet, here, found.processes)
        if path in there
    ]
    if gone:
        systemd.daemon_reload(name="reload systemd", _if=any_changed(*gone))


def nginx(fleet: Fleet, here: Host, there: dict[str, Entry], out: Out) -> None:
    """Set up nginx. If certbot has no certificate yet, serve sites over http, so that certbot can fetch one."""
    folder(site.ACME)
    certificate = fleet.site["tls"] != "certbot" or site.certificate_files(fleet)[0] in there
    changes = put_sites(fleet, here, certificate, out)
    enable("nginx.service", running=True)
    if not certificate and site.ends_tls(fleet, here):
        names = " ".join(f"-d {shlex.quote(name)}" for name in fleet.site["names"])
        server.shell(
            name=f"get a certificate for {', '.join(fleet.site['names'])}",
            _timeout=LONG,
            commands=(
                f"certbot certonly --non-interactive --agree-tos --email {shlex.quote(fleet.site['email'])} --webroot"
                f" -w {site.ACME} --deploy-hook 'systemctl reload nginx' {names}"
            ),
        )
        changes += put_sites(fleet, here, True, out)
    if here.balancer:
        unit = f"balancer-hosts@{fleet.app}.service"
        changed = any_changed(write(wanted.balancer_hosts(), there), *changes)
        # The restart makes balancer-hosts read which hosts there are, and which are drained.
        systemd.service(name=f"run {unit}", service=unit, enabled=True, running=True, restarted=changed())


# ---- named operations ----


def put_sites(fleet: Fleet, here: Host, certificate: bool, out: Out) -> list[OperationMeta]:
    return [
        nginx_site(name=f"install nginx site {each.name}", site=each)
        for each in site.sites(fleet, here, certificate, out)
    ]


def write(file: File, there: dict[str, Entry] | None = None) -> OperationMeta:
    return whole_file(name=f"write {file.path}", file=file, seen=there)


def folder(path: str, mode: str | None = None, user: str | None = None, group: str | None = None) -> None:
    """Create a folder. If `mode`, `user` or `group` is None, an existing folder keeps its own."""
    files.directory(name=f"make folder {path}", path=path, mode=mode, user=user, group=group)


def enable(unit: str, running: bool | None = None) -> None:
    systemd.service(name=f"enable {unit}", service=unit, enabled=True, running=running)


def stop(units: list[str]) -> None:
    names, enabled = (
        shlex.join(units),
        shlex.join(
            unit
            for unit in units
            if unit.endswith((".target", ".timer")) or unit.startswith(("balancer-hosts@", "consul-hosts@"))
        ),
    )
    server.shell(
        name=f"stop {', '.join(units)}",
        _timeout=LONG,
        commands=[
            f"systemctl stop {names}",
            f"for unit in {names}; do ! systemctl --quiet is-failed $unit || systemctl reset-failed $unit; done",
            *([f"systemctl --quiet disable {enabled}"] if enabled else ()),
        ],
    )
