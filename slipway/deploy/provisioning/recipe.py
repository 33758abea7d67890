"""The recipe that sets up a server. When the recipe calls an operation, session.py runs or checks it. `_if` is an
operation's condition, mostly that another operation has changed something."""

import os
import shlex
from collections.abc import Callable

from pyinfra.api.operation import OperationMeta
from pyinfra.context import host
from pyinfra.operations import apt, files, server, systemd
from pyinfra.operations.util import any_changed

from ..agent.host import JOURNALD, UNITS
from ..config import Fleet, Host
from ..errors import HostProblem
from ..server import backups, consul, services, site
from ..server import files as wanted
from ..server import keys as server_keys
from ..server.site import Out
from . import data, keys
from .fitness import Inspection
from .named import LONG, enable, folder, owned_folder, stop, write
from .operations import Entry, Files, nginx_site
from .services import Credentials

# A Consul agent that does not run needs no reload: it reads its files at its start.
RELOAD_CONSUL = "! systemctl --quiet is-active consul.service || systemctl reload consul.service"
# After its reload, Docker needs a moment to turn live-restore off. Only then can the host join a swarm.
LIVE_RESTORE_ENDS = """
for _ in $(seq 100); do [ "$(docker info --format '{{.LiveRestoreEnabled}}')" != false ] || exit 0; sleep 0.1; done
echo "Docker keeps live-restore on, 10 s after its reload" >&2
exit 1
"""
APT = "-o DPkg::Lock::Timeout=300"


def provision(
    fleet: Fleet,
    machine: Host,
    inspection: Inspection,
    out: Out,
    credentials: Credentials,
    team: Callable[[Fleet, Host], None],
) -> None:
    check_left(fleet, machine, out)
    install(fleet, machine, inspection)
    existing = host.get_fact(Files, paths=paths(fleet, machine, inspection))
    if machine.roles:
        app(fleet, machine, inspection, existing)
        if fleet.services and credentials.complete:
            data.addresses(fleet, credentials, existing)
    for file in wanted.programs(fleet, machine):
        write(file, existing)
    units(fleet, machine, existing)
    if wanted.runs_containers(machine):
        docker(fleet, inspection)
    if machine.roles:
        sockets(fleet, existing)
    take_away(fleet, machine, inspection, existing)
    for service in services.of_host(fleet, machine):
        data.prepare(fleet, service, credentials, existing)
    if wanted.serves_http(machine):
        nginx(fleet, machine, existing, out)
    if consul.registers(fleet, machine):
        definition = consul.service(fleet, machine)
        server.shell(
            name="reload consul.service",
            _if=write(definition, existing).did_change,
            commands=(f"{RELOAD_CONSUL} || {{ rm -f {definition.path}; exit 1; }}"),
        )  # without rm, the next run skips the reload
    if wanted.by_units(fleet, machine):
        enable_app(fleet, machine)
    keys.set_up(fleet, existing)
    if machine in fleet.backup_hosts and credentials.repository:  # last, as the repository may be away
        data.keep_backups(fleet, machine, credentials.repository, existing)
    team(fleet, machine)


def drain(fleet: Fleet, machine: Host, inspection: Inspection, out: Out, name: str, away: bool) -> None:
    out = Out(site.drained(fleet, out.drained, name, away), out.silent)
    check_left(fleet, machine, out)
    change = nginx_site(name=f"{'drain' if away else 'undrain'} {name}", site=site.hosts_site(fleet, out))
    server.shell(name="update the list of hosts", commands=f"balancer-hosts {fleet.app} again", _if=change.did_change)


def check_left(fleet: Fleet, machine: Host, out: Out) -> None:
    if machine.balancer and (problem := site.nobody_left(fleet, out)):
        raise HostProblem(problem)


def remove(fleet: Fleet, machine: Host, inspection: Inspection, out: Out) -> None:
    """Remove the app from a host. Keep data and settings."""
    nothing = Host(machine.name, machine.address)
    existing = host.get_fact(Files, paths=paths(fleet, nothing, inspection))
    take_away(fleet, nothing, inspection, existing)
    keys.take_away(fleet, existing)


def paths(fleet: Fleet, machine: Host, inspection: Inspection) -> list[str]:
    app = [*wanted.app_files(fleet, machine), wanted.tmpfiles(fleet)] if machine.roles else []
    of_services = [
        file
        for service in services.of_host(fleet, machine)
        for file in (services.description(fleet, service, ""), services.configuration(fleet, service, ""))
    ]
    return [
        *(file.path for file in (*app, *wanted.programs(fleet, machine), *wanted.unit_files(fleet, machine))),
        *(file.path for file in backups.unit_files(fleet, machine)),
        *(file.path for file in of_services),
        services.settings_path(fleet.app),
        server_keys.home(fleet.app),
        *server_keys.paths(fleet.app),
        backups.keys_path(fleet.app),
        *(file.path for file in backups.files(fleet, machine)),
        *(services.certificate(fleet.app, service.kind, "").path for service in fleet.services if service.tls),
        *stale_files(fleet, machine, inspection),
        consul.service_path(fleet.app),
        wanted.balancer_hosts().path,
        *(path for stale in site.stale_sites(fleet, machine) for path in stale.paths),
        f"/run/{fleet.app}/web.sock",
        *filter(None, site.certificate_files(fleet)),
    ]


def stale_files(fleet: Fleet, machine: Host, inspection: Inspection) -> list[str]:
    """Return the files of roles and units that the host no longer has."""
    return [*wanted.stale_files(fleet, machine, inspection.processes), *backups.stale_files(fleet, machine)]


def install(fleet: Fleet, machine: Host, inspection: Inspection) -> None:
    """Install missing packages. Debian 13 has Docker's client in a package of its own, docker-cli."""
    packages = wanted.packages(fleet, machine, inspection.missing)
    if machine in fleet.backup_hosts and "restic" in inspection.missing:
        packages.append("restic")
    if fleet.limited_keys and "sudo" in inspection.missing:
        packages.append("sudo")
    client = wanted.runs_containers(machine) and "docker" in inspection.missing
    masked = inspection.masked and wanted.serves_http(machine)
    if "nginx" in packages:  # Debian starts nginx with a page of its own, which a balancer would show to visitors
        server.shell(name="keep nginx.service from starting", commands="systemctl mask --runtime nginx.service")
        masked = True
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


def app(fleet: Fleet, machine: Host, inspection: Inspection, existing: dict[str, Entry]) -> None:
    mark, *rest = wanted.app_files(fleet, machine)
    write(mark, existing)  # first: this file marks the app's name as ours, even if provisioning fails later
    if not inspection.user:  # pyinfra's own check reads all users, which is slow
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
    for each in wanted.app_folders(fleet, machine):
        owned_folder(each)
    for file in rest:
        write(file, existing)


def units(fleet: Fleet, machine: Host, existing: dict[str, Entry]) -> None:
    files_of_units = [
        *wanted.unit_files(fleet, machine),
        *backups.unit_files(fleet, machine),
        *server_keys.unit_files(fleet),
    ]
    for path in sorted({os.path.dirname(file.path) for file in files_of_units} - {UNITS}):
        folder(path)
    written = {file.path: write(file, existing) for file in files_of_units}
    systemd.daemon_reload(name="reload systemd", _if=any_changed(*written.values()))
    server.shell(
        name="restart systemd-journald.service",
        _if=written[JOURNALD].did_change,
        commands=["systemctl restart systemd-journald.service", "journalctl --flush"],
    )  # no line is lost: systemd has the sockets


def enable_app(fleet: Fleet, machine: Host) -> None:
    enable(f"{fleet.app}.target")
    for name in filter(machine.has, fleet.timed):
        enable(f"{fleet.app}-{name}.timer", running=True)


def docker(fleet: Fleet, inspection: Inspection) -> None:
    """Set up Docker, with live-restore unless the host is a swarm node. Reload Docker; never restart it."""
    enable("docker.service", running=True)
    settings = wanted.daemon_json(inspection.daemon_json, fleet.is_swarm)
    if settings and (fleet.is_swarm or not inspection.node):
        folder("/etc/docker")
        written = write(settings)
        server.shell(
            name="reload docker.service",
            _if=written.did_change,
            commands=["systemctl reload docker.service", *([LIVE_RESTORE_ENDS] if fleet.is_swarm else [])],
        )


def sockets(fleet: Fleet, existing: dict[str, Entry]) -> None:
    file = wanted.tmpfiles(fleet)
    written = write(file, existing)
    server.shell(
        name=f"create the paths of {file.path}",
        commands=f"systemd-tmpfiles --create {file.path}",
        _if=lambda: written.did_change() or f"/run/{fleet.app}/web.sock" not in existing,
    )


def take_away(fleet: Fleet, machine: Host, inspection: Inspection, existing: dict[str, Entry]) -> None:
    """Remove what belongs to roles that the host no longer has."""
    if inspection.registered and not consul.registers(fleet, machine):
        path = consul.service_path(fleet.app)
        server.shell(
            name=f"remove {path}",
            commands=(  # if the reload fails, restore the file for the next try
                f"mv {path} {path}.gone; {RELOAD_CONSUL} || {{ mv {path}.gone {path}; exit 1; }}; rm {path}.gone"
            ),
        )
    for stale in site.stale_sites(fleet, machine):
        if set(stale.paths) & set(existing):
            nginx_site(name=f"remove nginx site {stale.name}", site=stale)
    unneeded = {
        *wanted.stale_units(fleet, machine, inspection.units),
        *services.stale_units(fleet, machine),
        *backups.stale_units(fleet, machine),
    }
    if running := [unit for unit in inspection.units if unit in unneeded]:
        stop(running)
    gone = [
        files.file(name=f"remove {path}", path=path, present=False)
        for path in stale_files(fleet, machine, inspection)
        if path in existing
    ]
    if gone:
        systemd.daemon_reload(name="reload systemd", _if=any_changed(*gone))


def nginx(fleet: Fleet, machine: Host, existing: dict[str, Entry], out: Out) -> None:
    """Set up nginx. If certbot has no certificate yet, serve sites over http, so that certbot can fetch one."""
    folder(site.ACME)
    certificate = fleet.site["tls"] != "certbot" or site.certificate_files(fleet)[0] in existing
    changes = put_sites(fleet, machine, certificate, out)
    enable("nginx.service", running=True)
    if not certificate and site.ends_tls(fleet, machine):
        names = " ".join(f"-d {shlex.quote(name)}" for name in fleet.site["names"])
        server.shell(
            name=f"get a certificate for {', '.join(fleet.site['names'])}",
            _timeout=LONG,
            commands=(
                f"certbot certonly --non-interactive --agree-tos --email {shlex.quote(fleet.site['email'])} --webroot"
                f" -w {site.ACME} --deploy-hook 'systemctl reload nginx' {names}"
            ),
        )
        changes += put_sites(fleet, machine, True, out)
    if machine.balancer:
        unit = f"balancer-hosts@{fleet.app}.service"
        changed = any_changed(write(wanted.balancer_hosts(), existing), *changes)
        # The restart makes balancer-hosts read which hosts there are, and which are drained.
        systemd.service(name=f"run {unit}", service=unit, enabled=True, running=True, restarted=changed())


def put_sites(fleet: Fleet, machine: Host, certificate: bool, out: Out) -> list[OperationMeta]:
    return [
        nginx_site(name=f"install nginx site {each.name}", site=each)
        for each in site.sites(fleet, machine, certificate, out)
    ]
