"""The files that provisioning writes on a host, as far as production.toml alone decides what is in them: `slipway
status` and deploys compare these, with mode and owner; of a file with a secret these alone. Does no I/O."""

from collections.abc import Iterator

from ..agent import provisioned
from ..config import Fleet, Host
from ..config.validators import is_numeric
from . import backups, consul, files, keys, services, site
from .files import File, Folder


def of_deploys(fleet: Fleet, host: Host) -> dict[str, str]:
    """Return path → state, after provisioning, of what runs releases and brings them visitors. If variables such as
    HOSTS define the fleet, leave out what only a file can set: docker options and the site."""
    written = {file.path: state(file, compared=not file.once) for file in of_app(fleet, host)}
    if fleet.by_variables:
        written.pop(f"/etc/default/{fleet.app}", None)
        return written
    return written | {file.path: state(file) for file in of_nginx(fleet, host)}


def state(file: File, compared: bool = True) -> str:
    """Return what a host tells of the file. `compared`: False if nobody here knows its content."""
    return provisioned.state(file.mode, f"{file.user}:{file.group}", file.content.encode() if compared else None)


def of_app(fleet: Fleet, host: Host) -> Iterator[File]:
    if host.roles:
        yield from files.app_files(fleet, host)
        yield files.tmpfiles(fleet)
    yield from files.programs(fleet, host)
    yield from files.unit_files(fleet, host)
    if host.balancer:
        yield files.balancer_hosts()
    if consul.registers(fleet, host):
        yield consul.service(fleet, host)


def of_others(fleet: Fleet, host: Host) -> dict[str, str]:
    """Return path → state of what no deploy uses: it does not wait for backups, or touch a service. The state is "" of
    what provisioning removes, as it would let somebody in."""
    known = (*of_keys(fleet), *of_services(fleet, host), *of_backups(fleet, host))
    unknown = {file.path: state(file, compared=False) for file in of_unknown_content(fleet, host)}
    folders = {
        folder.path: provisioned.state(folder.mode, f"{folder.user}:{folder.group}", None)
        for folder in of_folders(fleet, host)
    }
    absent = [] if fleet.limited_keys or fleet.by_variables else keys.paths(fleet.app)
    return folders | unknown | {file.path: state(file) for file in known} | dict.fromkeys(absent, "")


def of_keys(fleet: Fleet) -> Iterator[File]:
    if fleet.limited_keys:
        yield keys.gate(fleet)
        yield keys.sudoers(fleet)
        yield keys.authorized_keys(fleet)
        yield from keys.unit_files(fleet)


def of_backups(fleet: Fleet, host: Host) -> Iterator[File]:
    if host in fleet.backup_hosts:
        yield from backups.program()
        yield from backups.files(fleet, host)
        yield from backups.unit_files(fleet, host)


def of_services(fleet: Fleet, host: Host) -> Iterator[File]:
    address = services.address(host)
    for service in services.of_host(fleet, host):
        if fleet.by_socket or is_numeric(address):  # only the host itself knows which address a name means there
            yield services.description(fleet, service, address)
        if service.kind == "postgres":  # redis.conf has a password
            yield services.configuration(fleet, service, "")


def of_unknown_content(fleet: Fleet, host: Host) -> Iterator[File]:
    """Yield the files that have a password, or what only a host knows: an address, a certificate."""
    if host.roles and fleet.services:
        yield services.settings(fleet, {service.kind: "" for service in fleet.services}, ())
        yield from (services.certificate(fleet.app, service.kind, "") for service in fleet.services if service.tls)
    for service in services.of_host(fleet, host):
        yield services.description(fleet, service, "")
        yield services.configuration(fleet, service, "")
        yield from services.secrets(fleet, service)
    if host in fleet.backup_hosts:
        yield backups.keys_file(fleet.app, "")


def of_folders(fleet: Fleet, host: Host) -> Iterator[Folder]:
    """Yield the folders that keep secrets or programs, not those of the app's own data: such may be of another disk."""
    if host.roles:
        yield from (folder for folder in files.app_folders(fleet, host) if folder.user == "root")
        if any(service.tls for service in fleet.services):
            yield services.certificates_folder(fleet.app)
    yield from (services.secret_folder(fleet.app, service.kind) for service in services.of_host(fleet, host))
    if fleet.limited_keys:
        yield from keys.folders(fleet.app)


def of_nginx(fleet: Fleet, host: Host) -> Iterator[File]:
    """Yield the files of the host's sites, with a certificate and nobody drained: hosts.conf is balancer-hosts'."""
    for each in site.sites(fleet, host, True):
        yield from (File(path, content) for path, content in each.files.items())
        yield from (File(link, each.files[f"{site.NGINX}/sites-available/{each.name}"]) for link in each.links)
