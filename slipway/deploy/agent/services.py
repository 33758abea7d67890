"""Tell how the app's services on this host are: their units, and what they say of themselves."""

from __future__ import annotations

import os
import re
import time
from typing import TypedDict

from .host import Host, Problem
from .message_types import Properties
from .roles import SERVICES

# What the service says, as shell commands in its container; $1: the app, $2: the folder of the socket.
ASK = {
    "postgres": 'PGPASSWORD=$APP_PASSWORD exec psql -h "$2" -U "$1" -d "$1" -AtqF " " -c "SELECT current_setting('
    "'server_version'), pg_size_pretty(pg_database_size(current_database())), (SELECT count(*) FROM pg_stat_activity"
    ' WHERE datname = current_database())"',
    "redis": 'exec redis-cli -s "$2/redis.sock" info',
}
POSTGRES = re.compile(r"([\d.]+).* (\d+ \w+) (\d+)")  # such as "17.5 (Debian 17.5-1) 9621 kB 8"
# Valkey says it is Redis 7.2.4, and its own version in the next lines.
REDIS = re.compile(
    r"^(?:redis_version(?!.*^valkey_version)|valkey_version):(\S+)$"
    r".*^connected_clients:(\d+)$.*^used_memory_human:(\S+)$",
    re.M | re.S,
)


class Answer(TypedDict):
    """A service's words about itself; all are "" if it does not answer."""

    version: str
    size: str
    connections: str


class ServiceFacts(Answer):
    """A service's answer, and its unit's state."""

    state: str | None
    since: str | None
    outdated: bool  # True: its files have changed since it was started


class Services(TypedDict):
    """The services on this host."""

    services: dict[str, ServiceFacts]  # kind → facts


def kinds(host: Host) -> list[str]:
    """Return the kinds of the app's services that provisioning has set up here."""
    return [kind for kind in SERVICES if os.path.exists(f"{host.etc}-{kind}.image")]


def unit(host: Host, kind: str) -> str:
    return f"docker-service@{host.app}-{kind}.service"


def collect(host: Host) -> Services:
    units = {kind: unit(host, kind) for kind in kinds(host)}
    states = host.states(*units.values())
    return {
        "services": {
            kind: {
                "state": states[name].get("ActiveState"),
                "since": states[name].get("StateChangeTimestamp"),
                "outdated": is_outdated(host, kind, states[name]),
                **ask_service(host, kind),
            }
            for kind, name in units.items()
        }
    }


def is_outdated(host: Host, kind: str, state: Properties) -> bool:
    """Return True if a unit that runs was started before its files were changed. Provisioning restarts none."""
    seconds = int(state.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
    started = time.time() - (time.monotonic() - seconds)
    changed = (os.stat(f"{host.etc}-{kind}{end}").st_mtime for end in ("", ".image"))
    return seconds > 0 and any(at > started for at in changed)


def ask_service(host: Host, kind: str) -> Answer:
    name = host.container(kind)
    words = "docker", "exec", name, "sh", "-c", ASK[kind], "sh", host.app, f"/run/{name}"
    try:
        output = host.call(*words, check=False, timeout=10).stdout.replace("\r", "")
    except Problem:
        output = ""
    if kind == "postgres":
        version, size, connections = groups_of(POSTGRES.match(output))
    else:
        version, connections, size = groups_of(REDIS.search(output))
    return {"version": version, "size": size, "connections": connections}


def groups_of(match: re.Match[str] | None) -> tuple[str, str, str]:
    return (match[1], match[2], match[3]) if match else ("", "", "")
