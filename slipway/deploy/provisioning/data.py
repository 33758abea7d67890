"""The part of the recipe that sets up Postgres, Redis and backups."""

from pyinfra.context import host
from pyinfra.facts.server import Arch
from pyinfra.operations import server
from pyinfra.operations.util import any_changed

from ..config import Fleet, Host, Service
from ..server import backups, services
from .named import LONG, owned_folder, write
from .operations import BackupsReady, ConnectionsAllowed, Entry, ImagePresent, ServicesReady, program, sent_image
from .services import Credentials


def addresses(fleet: Fleet, credentials: Credentials, existing: dict[str, Entry]) -> None:
    """Write the settings by which the app reaches its services, and the certificates by which it knows them."""
    if credentials.certificates:
        owned_folder(services.certificates_folder(fleet.app))
    for kind, text in credentials.certificates.items():
        write(services.certificate(fleet.app, kind, text), existing)
    write(services.settings(fleet, credentials.passwords, credentials.own), existing)


def prepare(fleet: Fleet, service: Service, credentials: Credentials, existing: dict[str, Entry]) -> None:
    """Write a service's files, and let docker-service do what is missing. A service that runs is not restarted."""
    name = services.container(fleet.app, service.kind)
    owned_folder(services.secret_folder(fleet.app, service.kind))
    path, listen = f"/etc/default/{name}", credentials.listen.get(service.host.name, "")
    allowed = host.get_fact(ConnectionsAllowed, path=path) if path in existing and service.kind == "postgres" else 0
    write(services.description(fleet, service, listen, allowed), existing)
    write(services.configuration(fleet, service, credentials.passwords[service.kind]), existing)
    if name not in host.get_fact(ServicesReady, names=[name]):
        if fleet.registry == "ssh" and not host.get_fact(ImagePresent, image=service.image):
            architecture = host.get_fact(Arch)
            sent_image(
                name=f"send {service.image}",
                image=service.image,
                machine=service.host,
                ssh=fleet.ssh,
                architecture=architecture,
                _timeout=LONG,
            )
        server.shell(name=f"prepare {service.kind}", commands=f"docker-service prepare {name}", _timeout=LONG)


def keep_backups(fleet: Fleet, machine: Host, keys: str, existing: dict[str, Entry]) -> None:
    """Install docker-backup, and let it do what is missing."""
    program(name="install docker-backup", files=[*backups.program()])
    write(backups.keys_file(fleet.app, keys), existing)
    written = [write(file, existing) for file in backups.files(fleet, machine)]
    changed = any_changed(*written)
    if changed() or not host.get_fact(BackupsReady, app=fleet.app):
        server.shell(name="prepare backups", commands=f"docker-backup prepare {fleet.app}", _timeout=LONG)
