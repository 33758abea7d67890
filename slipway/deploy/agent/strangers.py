"""Containers that run under a name of one of our units, though docker-runner has not started them. Their unit waits for
their end: it seems active, and does nothing."""

from __future__ import annotations

import os
from collections.abc import Collection

from . import docker
from .host import Host, Problem
from .message_types import Any
from .roles import SERVICES

LABEL = "docker-runner.image"
TEXT = "the container {} runs, but {} has not started it, and waits for its end: run docker stop {} on this host"


def names(host: Host) -> dict[str, str]:
    """Return container → unit. Of a command by the clock, whoever runs it by hand has the name, too."""
    in_slots = {host.container(role, slot): host.unit(role, slot) for role in host.in_slots() for slot in "ab"}
    alone = {host.container(role): host.unit(role) for role in host.alone()}
    here = [kind for kind in SERVICES if os.path.exists(f"{host.etc}-{kind}")]
    services = {host.container(kind): f"docker-service@{host.container(kind)}" for kind in here}
    return {**in_slots, **alone, **services}


def problems(host: Host, only: Collection[str] | None = None) -> list[str]:
    """Return a line for each such container, or for those whose names are in `only`; nothing if Docker fails."""
    try:
        running = docker.ask(host, "GET", "/containers/json", "docker ps", None, 30) or []
    except Problem:  # reported elsewhere
        return []
    return among(host, running, only)


def among(host: Host, running: Collection[Any], only: Collection[str] | None = None) -> list[str]:
    """Return a line for each stranger among the containers that run, as the engine lists them."""
    units = names(host)
    taken = sorted(
        name[1:]
        for container in running
        for name in container["Names"] or ()
        if name[1:] in units and LABEL not in (container["Labels"] or {})
    )
    return [TEXT.format(name, units[name], name) for name in taken if only is None or name in only]
