"""Checks that a configuration's keys fit together (schema.py: single ones). They yield (path, problem). Does no I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..agent.roles import BUILT_IN, SERVICES, Process
from ..backup import place
from .validators import Problems, address_and_port, is_numeric, value_text

if TYPE_CHECKING:
    from . import Fleet, Host

TLS_NEEDS = {"files": ("certificate", "key"), "certbot": ("names", "email"), "elsewhere": ("proxies",)}


def problems(fleet: Fleet) -> Problems:
    site = fleet.site
    web = fleet.with_role("web")
    yield from of_swarm(fleet) if fleet.is_swarm else of_hosts(fleet)
    for host in fleet.hosts:
        yield from of_host(host, [other.name for other in fleet.hosts if other.address == host.address])
        yield from (
            (f"hosts.{host.name}.roles", f"{value_text(role)} is not one of {', '.join([*fleet.roles, *SERVICES])}")
            for role in host.roles
            if role not in fleet.roles
        )
    if len(web) > 1 and fleet.media == "local":
        differ = f'"local" files would differ between {", ".join(host.name for host in web)}'
        yield "media", f'{differ}; use "database" or "bucket"'
    yield from of_keys(fleet)
    for host in fleet.balancers:
        yield from of_balancer(host, web)
    for process in fleet.roles.values():
        yield from of_process(process, fleet.rollout["ready"])
    yield from (
        (f"site.{key}", f'is needed for tls = "{site["tls"]}"')
        for key in TLS_NEEDS.get(site["tls"], ())
        if not site[key]
    )


def of_hosts(fleet: Fleet) -> Problems:
    if fleet.engine["replicas"]:
        yield "engine.replicas", 'is only for engine.kind = "swarm": remove it'
    beats = fleet.with_role("beat")
    if len(beats) > 1:
        yield "hosts", f"only one host may have the role beat, not {', '.join(host.name for host in beats)}"


def of_keys(fleet: Fleet) -> Problems:
    """Refuse deploy keys where these would give more than deploys of this app."""
    for name, keys in {"deploy_keys": fleet.deploy_keys, "watch_keys": fleet.watch_keys}.items():
        if keys and fleet.is_swarm:
            yield name, 'engine.kind = "swarm" would make them root: whoever changes a stack may mount any folder'
        if keys and fleet.registry == "ssh":
            yield (
                name,
                'registry = "ssh" needs port forwarding, by which a key reaches Docker\'s socket: use a registry',
            )
        if keys and fleet.app.endswith("-deploy"):
            yield name, f"an app called {fleet.app.removesuffix('-deploy')} would have an account of this app's name"


def of_host(host: Host, same_address: list[str]) -> Problems:
    if not host.roles and not host.services and not host.balancer:
        yield (
            f"hosts.{host.name}.roles",
            f"is empty: add a role, or delete the host here, then run provision --remove {host.address}",
        )
    yield from (
        (f"hosts.{host.name}.address", f"{host.address!r} is also the address of {other}")
        for other in same_address
        if other < host.name
    )


def of_balancer(host: Host, web: list[Host]) -> Problems:
    if not web:
        yield f"hosts.{host.name}.balancer", "there is no host with the role web"
    if host in web:
        yield f"hosts.{host.name}.balancer", "a host with the role web listens on the same ports: use another host"
    if not is_numeric(host.internal_address):
        yield f"hosts.{host.name}.internal", "must be the IP address from which the balancer reaches the web hosts"


def of_services(fleet: Fleet, tables: Mapping[str, object]) -> Problems:
    """`tables`: the file's [service.KIND]."""
    kinds = [service.kind for service in fleet.services]
    for kind in dict.fromkeys(kinds):
        if kinds.count(kind) > 1:
            names = ", ".join(service.host.name for service in fleet.services if service.kind == kind)
            yield "hosts", f"only one host may have the role {kind}, not {names}"
    for kind in tables.keys() - {*kinds}:
        yield f"service.{kind}", f'no host has the role {kind}: add "{kind}" to the roles of one'
    if fleet.backup["to"] and fleet.is_swarm:
        yield "backup", 'engine.kind = "swarm" makes no backups: remove it, and back up where the data is'
    if fleet.backup["dump"] and fleet.postgres_host:
        yield "backup.dump", "is for a database elsewhere, which this one is not: remove it"
    if fleet.backup["to"] and fleet.postgres_host and place.parse(fleet.backup["to"]) is None:
        yield (
            "backup.to",
            "pgBackRest, which keeps the database, knows sftp:, s3:https:, gs:, azure: and folders: use one",
        )
    for each in fleet.services:
        if each.extensions and each.kind != "postgres":
            yield f"service.{each.kind}.extensions", "only Postgres has extensions: remove it"
    if kinds and fleet.is_swarm:
        yield "hosts", f'engine.kind = "swarm" runs no {kinds[0]}: use one elsewhere'
    if fleet.by_socket:
        yield from (
            (f"service.{each.kind}.tls", "has no effect on an only host, whose app uses a socket: remove it")
            for each in fleet.services
            if each.tls
        )
    else:
        for host in dict.fromkeys(service.host for service in fleet.services):
            without_tls = [each.kind for each in fleet.services if each.host == host and not each.tls]
            yield from of_service_host(host, without_tls)


def of_service_host(host: Host, without_tls: list[str]) -> Problems:
    """Check that the other hosts can reach the services of this one, and the whole internet none `without_tls`. Of a
    name, provisioning asks the host for its address."""
    address = address_and_port(host.internal_address)[0]
    if is_numeric(address):
        path = f"hosts.{host.name}.internal"
        yield from ((path, problem) for problem in of_service_address(address, without_tls))


def of_service_address(address: str, without_tls: list[str]) -> Iterator[str]:
    """Yield why services must not listen at this IP address. `without_tls`: the kinds that are not encrypted."""
    parsed = ipaddress.ip_address(address)
    if parsed.is_unspecified or parsed.is_loopback:
        yield f"{address} is not an address of this host alone: use that of a private network"
    elif parsed.is_global and without_tls:
        lines = " and ".join(f"tls = true in [service.{kind}]" for kind in without_tls)
        yield f"{address} is not an address of a private network: use one, or set {lines}"


def of_process(process: Process, limit: int) -> Problems:
    if process.overlap and process.ports:
        yield f"process.{process.name}.ports", "needs overlap = false: two containers cannot publish one port at once"
    way, _, what = process.ready.partition(" ")
    if way == "seconds" and int(what) >= limit:
        yield f"process.{process.name}.ready", f"{what} s must be less than rollout.ready, {limit} s"
    ignored = {"overlap": process.overlap, "ports": process.ports, "ready": process.ready != "seconds 5"}
    yield from (
        (f"process.{process.name}.{key}", "has no effect with a schedule: remove it")
        for key, value in ignored.items()
        if value and process.schedule
    )


def of_swarm(fleet: Fleet) -> Problems:
    ignored = {
        "registry": fleet.registry or fleet.registry_login,
        "opts": fleet.opts,
        **{f"hosts.{host.name}.opts": host.opts for host in fleet.hosts},
        **{f"process.{name}.schedule": process.schedule for name, process in fleet.timed.items()},
    }
    yield from ((path, 'has no effect with engine.kind = "swarm"') for path, value in ignored.items() if value)
    if fleet.media == "local":
        yield "media", '"local" files would differ between containers; use "database" or "bucket"'
    if any(host.name == "swarm" for host in fleet.hosts):
        yield "hosts.swarm", "the name is what commands call the whole swarm: choose another one"
    yield from of_replicas(fleet.engine["replicas"], fleet.processes)


def of_replicas(replicas: dict[str, int], processes: dict[str, Process]) -> Problems:
    if not replicas.get("web"):
        yield "engine.replicas.web", "is needed: set how many containers answer visitors"
    if replicas.get("beat", 1) > 1:
        yield "engine.replicas.beat", "only one beat may run"
    for name in replicas.keys() - processes.keys():
        yield f"engine.replicas.{name}", f"there is no such process; the processes are: {', '.join(processes)}"
    for name in processes.keys() - BUILT_IN.keys() - replicas.keys():
        yield f"engine.replicas.{name}", "is needed: set how many containers run, or 0"
    if "proxy" in processes:
        yield "process.proxy", 'the name is taken with engine.kind = "swarm": choose another one'
    yield from (
        (f"process.{process.name}.ports", f"{port!r}: leave out the address: Swarm publishes on all addresses")
        for process in processes.values()
        for port in process.ports
        if port.count(":") > 1
    )
