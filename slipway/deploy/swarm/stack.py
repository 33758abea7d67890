"""The stack of a release, as `docker stack deploy` reads it. Labels: on a service `RELEASES`, the last one runs, and
`ATTEMPT`, the deploy that brought it; on a container `ID`, the hash of what it is made of. A rollback brings them
back.
"""

import hashlib
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..agent.roles import BUILT_IN, READY_FILE, Process
from ..config import Fleet

Data = dict[str, Any]
RELEASES, ATTEMPT, ID = "slipway.releases", "slipway.attempt", "slipway.id"
KEPT = 10  # releases that a rollback may go to
PORT, DRAIN, USER = 8000, 5, "10001"  # the image's; seconds before TERM, in which proxies hear of it; the image's
SETTINGS = "/run/settings"  # in a container
CONFIG = "/usr/local/etc/haproxy/haproxy.cfg"
SPARE = 4  # servers of the proxy more than an update has containers
RIGHTS: Data = {"user": USER, "read_only": True, "cap_drop": ["ALL"]}


class Release(NamedTuple):
    """`image`: NAME@sha256:…; `settings`: their config; `secrets`: those the settings name; `who`: by whom, when."""

    tag: str
    image: str
    settings: str
    secrets: Sequence[str] = ()
    who: str = ""


def stack(fleet: Fleet, known: Sequence[Release], attempt: str) -> Data:
    """All services of the last of the releases `known`."""
    services = {name: service(fleet, known[-1], process) for name, process in fleet.processes.items()
                if fleet.engine["replicas"].get(name)} | {"proxy": proxy(fleet)}
    for each in services.values():
        each["labels"] = {ID: hashed(json.dumps(each, sort_keys=True))}
        each["deploy"]["labels"] = {RELEASES: json.dumps(known[-KEPT:]), ATTEMPT: attempt}
    return {"version": "3.8", "services": services, "networks": {"default": {"driver": "overlay", "attachable": True}},
            "configs": {"settings": external(known[-1].settings), "proxy": external(proxy_config(fleet)[0])},
            "secrets": {name: external(secret(fleet, name)) for name in known[-1].secrets}}


def hashed(content: str) -> str:
    """What tells contents apart."""
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def external(name: str) -> Data:
    """A config or secret that the stack does not make."""
    return {"external": True, "name": name}


def secret(fleet: Fleet, name: str) -> str:
    """The name that the swarm has for a secret of set-file."""
    return f"{fleet.app}.file.{name}"


def service(fleet: Fleet, release: Release, process: Process) -> Data:
    """A process. Its settings are a file, which docker-run.sh reads, and its user alone may."""
    web, own = process.name == "web", {"uid": USER, "gid": USER, "mode": 0o400}
    size = {"auto": "512M", "off": ""}.get(fleet.memory, fleet.memory)
    how = [] if process.name in BUILT_IN else [process.ready]
    return {"image": release.image, "command": shlex.split(process.command), **RIGHTS, "init": True,
            "environment": {"SETTINGS_FILE": SETTINGS, **(
                {"PORT": str(PORT), "DRAIN": str(DRAIN)} if web else {"READY_FILE": READY_FILE})},
            "configs": [{"source": "settings", "target": SETTINGS, **own}],
            "secrets": [{"source": name, "target": name, **own} for name in release.secrets],
            "volumes": [{"type": "tmpfs", "target": "/tmp"}], "ports": [port(each) for each in process.ports],
            "stop_grace_period": f"{process.stop + DRAIN * web}s", "logging": logging(fleet, process.name),
            "healthcheck": {"test": ["CMD", "./docker-run.sh", "healthcheck", "ready", *how], "interval": "3s",
                            "timeout": "10s", "retries": 10, "start_period": f"{fleet.rollout['ready']}s"},
            "deploy": {**placed(fleet, process.name), **changes(fleet, process),
                       "replicas": fleet.engine["replicas"][process.name],
                       **({"resources": {"limits": {"memory": size}}} if size else {})}}


def port(published: str) -> Data:
    """A port of a process of the team's, open at all addresses of its host."""
    numbers, _, protocol = published.partition("/")
    outer, inner = numbers.split(":")
    return {"target": int(inner), "published": int(outer), "protocol": protocol or "tcp", "mode": "host"}


def logging(fleet: Fleet, role: str) -> Data:
    """To the journal of its host."""
    return {"driver": "journald", "options": {"tag": f"{fleet.app}-{role}"}}


def placed(fleet: Fleet, role: str) -> Data:
    """Where a service's containers may run, by labels of nodes; others find each of them by a name."""
    return {"endpoint_mode": "dnsrr", "placement": {"constraints": [constraint(fleet, role)]},
            "restart_policy": {"condition": "any", "delay": "1s"}}


def constraint(fleet: Fleet, role: str) -> str:
    """The label that nodes of a role have."""
    return f"node.labels.{fleet.app}.{role} == true"


def changes(fleet: Fleet, process: Process) -> Data:
    """Return update_config: watch each new container for `monitor`, pause after each part of web, roll back."""
    order, web = "start-first" if process.overlap else "stop-first", process.name == "web"
    return {"update_config": {
                "parallelism": at_once(fleet) if web else 0, "delay": f"{fleet.rollout['canary'] * web}s",
                "order": order, "monitor": f"{max(fleet.rollout['bake'], 1)}s", "failure_action": "rollback"},
            "rollback_config": {"parallelism": 0, "order": order, "failure_action": "continue"}}


def at_once(fleet: Fleet) -> int:
    """How many containers of web change over at a time: those that the toml says, or else a quarter of them."""
    return int(fleet.rollout["parallel"]) or max(1, fleet.engine["replicas"]["web"] // 4)


def proxy(fleet: Fleet) -> Data:
    """HAProxy, on each web host at a socket for nginx there. It changes with its config alone."""
    return {"image": fleet.engine["proxy"], "command": ["haproxy", "-W", "-db", "-f", CONFIG], **RIGHTS,
            "stop_signal": "SIGUSR1", "stop_grace_period": "1h", "configs": [{"source": "proxy", "target": CONFIG}],
            "volumes": [{"type": "bind", "source": f"/run/{fleet.app}/proxy", "target": "/run/proxy"}],
            "logging": logging(fleet, "proxy"), "environment": {
                "CONFIG": proxy_config(fleet)[0], "RES_OPTIONS": "timeout:1 attempts:1"},  # as it starts
            "deploy": {"mode": "global", **placed(fleet, "web"), "update_config": {
                "parallelism": 1, "order": "start-first", "failure_action": "rollback", "monitor": "5s"}}}


def proxy_config(fleet: Fleet) -> tuple[str, str]:
    """(name by its content, content) of the proxy's config."""
    count = fleet.engine["replicas"]["web"] * 2 + SPARE
    content = Path(__file__).with_name("haproxy.cfg").read_text("utf-8")
    content = content.replace("@COUNT@", str(count)).replace("@PORT@", str(PORT))
    return f"{fleet.app}.proxy.{hashed(content)}", content


def one_off(fleet: Fleet, release: Release, name: str, words: Sequence[str]) -> list[str]:
    """The words of `docker service create` that run a command of the release once, beside what runs."""
    own = f"uid={USER},gid={USER},mode=0400"
    return ["--detach", "--quiet", "--with-registry-auth", "--name", name, "--mode", "replicated-job",
            "--restart-condition", "none", "--constraint", constraint(fleet, "web"), "--no-healthcheck",
            "--config", f"source={release.settings},target={SETTINGS},{own}",
            *(word for each in release.secrets
              for word in ("--secret", f"source={secret(fleet, each)},target={each},{own}")),
            "--env", f"SETTINGS_FILE={SETTINGS}", "--user", USER, "--read-only", "--cap-drop", "ALL", "--mount",
            "type=tmpfs,target=/tmp", "--log-driver", "journald", "--log-opt", f"tag={name}", release.image, *words]
