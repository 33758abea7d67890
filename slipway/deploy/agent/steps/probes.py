"""Ways to check that a process is ready. Each check returns "", or why the process is not ready."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable

from .. import disk, docker, http, strangers
from ..host import Host, Problem
from ..message_types import Any, Site
from ..roles import READY_FILE

PORT = 8000  # default port of the check "http"


def problem_of(host: Host, name: str, ready: str, site: Site) -> str:
    way, _, what = ready.partition(" ")
    try:
        inspected = docker.ask(host, "GET", f"/containers/{name}/json", "docker inspect")
        if not inspected or not inspected["State"]["Running"]:
            return "does not run"
        if strangers.LABEL not in (inspected["Config"]["Labels"] or {}):
            return f"does not run: {name} is not its container"
        return WAYS[way](host, inspected, what, site)
    except Problem as problem:
        return f"cannot be checked: {problem}"


def healthcheck(host: Host, inspected: Any, what: str, site: Site) -> str:
    entry = inspected["Config"]["Entrypoint"]
    return "" if entry and docker.run(host, inspected["Id"], [*entry, "healthcheck", what]) == 0 else "is not healthy"


def seconds(host: Host, inspected: Any, what: str, site: Site) -> str:
    stat = disk.read(f"{host.root}/proc/{inspected['State']['Pid']}/stat")
    if not stat:
        return "does not run"
    began = int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")  # seconds since boot
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - began  # not by /proc/uptime, which lxcfs replaces
    return "" if age >= int(what) else f"has run for only {int(age)} s"


def file(host: Host, inspected: Any, what: str, site: Site) -> str:
    is_there = docker.run(host, inspected["Id"], ["test", "-e", READY_FILE]) == 0
    return "" if is_there else f"has not created its READY_FILE, {READY_FILE}"


def port(host: Host, inspected: Any, what: str, site: Site) -> str:
    try:
        socket.create_connection((address(inspected), int(what)), 1).close()
        return ""
    except OSError as error:
        return f"does not listen on port {what}: {error.strerror or error}"


def http_(host: Host, inspected: Any, what: str, site: Site) -> str:
    """Request a path from the process. `what`: "/path" on port 8000, or "8080/path" on port 8080."""
    number, path = re.match(r":?(\d*)(.*)", what).groups()  # type: ignore[union-attr]
    status, body = http.ask((address(inspected), int(number or PORT)), path, site)
    return "" if 200 <= status < 400 else f"answers {status or body} to {path}"


def address(inspected: Any) -> str:
    networks = inspected["NetworkSettings"]["Networks"].values()
    return next((str(network["IPAddress"]) for network in networks if network["IPAddress"]), "127.0.0.1")


WAYS: dict[str, Callable[[Host, Any, str, Site], str]] = {
    "healthcheck": healthcheck,
    "seconds": seconds,
    "file": file,
    "port": port,
    "http": http_,
}
