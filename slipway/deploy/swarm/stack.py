"""Builds a release's stack for `docker stack deploy`. A service's label RELEASES lists releases, the live one last;
its ATTEMPT is the deploy's id. A container's label ID is the service's hash. Docker's rollback restores labels."""

import hashlib
import json
import shlex
from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

from ..agent.roles import BUILT_IN, READY_FILE, Process
from ..config import Fleet

Data = dict[str, Any]
RELEASES = "slipway.releases"
ATTEMPT = "slipway.attempt"
ID = "slipway.id"
KEPT = 10  # releases kept for a rollback
PORT, DRAIN, USER = 8000, 5, "10001"  # the image's port; seconds that web serves after TERM; the image's user
SETTINGS = "/run/settings"  # path of the settings file in a container
CONFIG = "/usr/local/etc/haproxy/haproxy.cfg"
SPARE = 4  # servers in HAProxy's config beyond two per replica of web
RIGHTS: Data = {"user": USER, "read_only": True, "cap_drop": ["ALL"]}


class Release(NamedTuple):
    """A release. `image` is NAME@sha256:…. `settings` names a Docker config. `who` says who deployed it, and when."""

    tag: str
    image: str
    settings: str
    secrets: Sequence[str] = ()
    who: str = ""


def stack(fleet: Fleet, releases: Sequence[Release], attempt: str) -> Data:
    """Return the stack of the last release in `releases`. Labels record the older releases, for rollbacks."""
    services = {
        name: service(fleet, releases[-1], process)
        for name, process in fleet.processes.items()
        if fleet.engine["replicas"].get(name)
    } | {"proxy": proxy(fleet)}
    for each in services.values():
        each["labels"] = {ID: digest_of(json.dumps(each, sort_keys=True))}
        each["deploy"]["labels"] = {RELEASES: json.dumps(releases[-KEPT:]), ATTEMPT: attempt}
    return {
        "version": "3.8",
        "services": services,
        "networks": {"default": {"driver": "overlay", "attachable": True}},
        "configs": {"settings": external(releases[-1].settings), "proxy": external(proxy_config(fleet)[0])},
        "secrets": {name: external(secret(fleet, name)) for name in releases[-1].secrets},
    }


def digest_of(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def external(name: str) -> Data:
    return {"external": True, "name": name}


def secret(fleet: Fleet, name: str) -> str:
    return f"{fleet.app}.file.{name}"


def service(fleet: Fleet, release: Release, process: Process) -> Data:
    """Return a process's service. In its containers, only the app's user can read the settings."""
    web = process.name == "web"
    own = {"uid": USER, "gid": USER, "mode": 0o400}
    size = {"auto": "512M", "off": ""}.get(fleet.memory, fleet.memory)
    how = [] if process.name in BUILT_IN else [process.ready]
    return {
        "image": release.image,
        "command": shlex.split(process.command),
        **RIGHTS,
        "init": True,
        "environment": {
            "SETTINGS_FILE": SETTINGS,
            **({"PORT": str(PORT), "DRAIN": str(DRAIN)} if web else {"READY_FILE": READY_FILE}),
        },
        "configs": [{"source": "settings", "target": SETTINGS, **own}],
        "secrets": [{"source": name, "target": name, **own} for name in release.secrets],
        "volumes": [{"type": "tmpfs", "target": "/tmp"}],
        "ports": [port(each) for each in process.ports],
        "stop_grace_period": f"{process.stop + DRAIN * web}s",
        "logging": logging(fleet, process.name),
        "healthcheck": {
            "test": ["CMD", "./docker-run.sh", "healthcheck", "ready", *how],
            "interval": "3s",
            "timeout": "10s",
            "retries": 10,
            "start_period": f"{fleet.rollout['ready']}s",
        },
        "deploy": {
            **placement(fleet, process.name),
            **update_rules(fleet, process),
            "replicas": fleet.engine["replicas"][process.name],
            **({"resources": {"limits": {"memory": size}}} if size else {}),
        },
    }


def port(published: str) -> Data:
    numbers, _, protocol = published.partition("/")
    outer, inner = numbers.split(":")
    return {"target": int(inner), "published": int(outer), "protocol": protocol or "tcp", "mode": "host"}


def logging(fleet: Fleet, role: str) -> Data:
    return {"driver": "journald", "options": {"tag": f"{fleet.app}-{role}"}}


def placement(fleet: Fleet, role: str) -> Data:
    """Return where a service runs: on nodes with the role's label. DNS returns each container's own address."""
    return {
        "endpoint_mode": "dnsrr",
        "placement": {"constraints": [constraint(fleet, role)]},
        "restart_policy": {"condition": "any", "delay": "1s"},
    }


def constraint(fleet: Fleet, role: str) -> str:
    return f"node.labels.{fleet.app}.{role} == true"


def update_rules(fleet: Fleet, process: Process) -> Data:
    """Return the service's update rules. Web's containers change in groups. If a container fails, Docker rolls back."""
    order = "start-first" if process.overlap else "stop-first"
    web = process.name == "web"
    return {
        "update_config": {
            "parallelism": at_once(fleet) if web else 0,
            "delay": f"{fleet.rollout['canary'] * web}s",
            "order": order,
            "monitor": f"{max(fleet.rollout['bake'], 1)}s",
            "failure_action": "rollback",
        },
        "rollback_config": {"parallelism": 0, "order": order, "failure_action": "continue"},
    }


def at_once(fleet: Fleet) -> int:
    return int(fleet.rollout["parallel"]) or max(1, fleet.engine["replicas"]["web"] // 4)


def proxy(fleet: Fleet) -> Data:
    """Return HAProxy's service, which makes nginx's socket on each web host. A new release does not restart HAProxy."""
    return {
        "image": fleet.engine["proxy"],
        "command": ["haproxy", "-W", "-db", "-f", CONFIG],
        **RIGHTS,
        "stop_signal": "SIGUSR1",
        "stop_grace_period": "1h",
        "configs": [{"source": "proxy", "target": CONFIG}],
        "volumes": [{"type": "bind", "source": f"/run/{fleet.app}/proxy", "target": "/run/proxy"}],
        "logging": logging(fleet, "proxy"),
        "environment": {
            "CONFIG": proxy_config(fleet)[0],
            "RES_OPTIONS": "timeout:1 attempts:1",
        },  # short DNS waits at start
        "deploy": {
            "mode": "global",
            **placement(fleet, "web"),
            "update_config": {"parallelism": 1, "order": "start-first", "failure_action": "rollback", "monitor": "5s"},
        },
    }


def proxy_config(fleet: Fleet) -> tuple[str, str]:
    count = fleet.engine["replicas"]["web"] * 2 + SPARE
    content = resources.files(__package__).joinpath("haproxy.cfg").read_text("utf-8")
    content = content.replace("@COUNT@", str(count)).replace("@PORT@", str(PORT))
    return f"{fleet.app}.proxy.{digest_of(content)}", content


def one_off(fleet: Fleet, release: Release, name: str, words: Sequence[str]) -> list[str]:
    own = f"uid={USER},gid={USER},mode=0400"
    return [
        "--detach",
        "--quiet",
        "--with-registry-auth",
        "--name",
        name,
        "--mode",
        "replicated-job",
        "--restart-condition",
        "none",
        "--constraint",
        constraint(fleet, "web"),
        "--no-healthcheck",
        "--config",
        f"source={release.settings},target={SETTINGS},{own}",
        *(
            word
            for each in release.secrets
            for word in ("--secret", f"source={secret(fleet, each)},target={each},{own}")
        ),
        "--env",
        f"SETTINGS_FILE={SETTINGS}",
        "--user",
        USER,
        "--read-only",
        "--cap-drop",
        "ALL",
        "--mount",
        "type=tmpfs,target=/tmp",
        "--log-driver",
        "journald",
        "--log-opt",
        f"tag={name}",
        release.image,
        *words,
    ]
