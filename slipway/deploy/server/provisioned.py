"""The files that provisioning writes on a host, as far as production.toml alone decides what is in them: `slipway
status` and deploys compare these. No hash of a file with a secret is asked for. Does no I/O."""

from collections.abc import Iterator

from ..config import Fleet, Host
from ..config.validators import is_numeric
from . import backups, consul, files, keys, services, site
from .files import File


def of_deploys(fleet: Fleet, host: Host) -> dict[str, str]:
    """Return path → content, after provisioning, of what runs releases and brings them visitors. If variables such as
    HOSTS define the fleet, leave out what only a file can set: docker options and the site."""
    written = {file.path: file.content for file in of_app(fleet, host) if not file.once}
    if fleet.by_variables:
        written.pop(f"/etc/default/{fleet.app}", None)
        return written
    return written | of_nginx(fleet, host)


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
    """Return path → content of what no deploy uses: it does not wait for backups, or touch a service."""
    return {file.path: file.content for file in (*of_keys(fleet), *of_services(fleet, host), *of_backups(fleet, host))}


def absent(fleet: Fleet) -> list[str]:
    """Return paths that provisioning removes, as they would let somebody in."""
    return [] if fleet.limited_keys or fleet.by_variables else keys.paths(fleet.app)


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


def of_nginx(fleet: Fleet, host: Host) -> dict[str, str]:
    """Return the files of the host's sites, with a certificate and nobody drained: hosts.conf is balancer-hosts'."""
    sites = site.sites(fleet, host, True)
    written = {path: content for each in sites for path, content in each.files.items()}
    return written | {
        link: written[f"{site.NGINX}/sites-available/{each.name}"] for each in sites for link in each.links
    }
