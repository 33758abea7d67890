"""The stack of a release, as `docker stack deploy` reads it. Pure.

What a stack names by a hash or a digest never changes, so an old stack brings back all that ran then.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from ..agent.roles import BUILT_IN, READY_FILE
from ..agent.swarm.stacks import ID, TAG
from ..config import Fleet
from ..engine import proxy
from ..engine.workloads import DRAIN, PORT, Release, Workload, workloads

Data = dict[str, Any]
VERSION = "3.8"
USER = "10001"  # the image's
SETTINGS = "/run/secrets/settings"
CONFIG = "/usr/local/etc/haproxy/haproxy.cfg"
MONITOR = "2s"  # for which a new container must live on, for Swarm itself not to go back


def stack(fleet: Fleet, release: Release, id: str, settings: str, files: Sequence[str]) -> Data:
    """All services of a release. `id`: of the attempt; `settings`, `files`: the names of the secrets."""
    works = {work.name: service(fleet, release, work, id, files) for work in workloads(fleet) if work.replicas}
    return {"version": VERSION, "services": {"proxy": proxy_service(fleet), **works},
            "networks": {"default": {"driver": "overlay", "attachable": True}},
            "configs": {"proxy": external(proxy_name(fleet))},
            "secrets": {"settings": external(settings), **{name: external(f"{fleet.app}.file.{name}")
                                                           for name in files}}}


def external(name: str) -> Data:
    """Something that the stack does not make."""
    return {"external": True, "name": name}


def proxy_name(fleet: Fleet) -> str:
    """The name of the proxy's config, by its content and the image that reads it."""
    text = fleet.engine["proxy"] + proxy.config(fleet)
    return f"{fleet.app}.proxy.{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def service(fleet: Fleet, release: Release, work: Workload, id: str, files: Sequence[str]) -> Data:
    """A process. Its settings are a file, which docker-run.sh reads."""
    secrets = {"settings": "settings", **{name: name for name in files}}
    ports = [{"target": port.inner, "published": port.outer, "protocol": port.protocol.lower(), "mode": "host"}
             for port in work.ports]
    return {"image": f"{fleet.image}@{release.digest}", "command": [*work.args], "environment": environment(work),
            "labels": {TAG: release.tag, ID: id}, "user": USER,
            "secrets": [{"source": name, "target": target, "uid": USER, "gid": USER, "mode": 0o400}
                        for name, target in secrets.items()],
            "read_only": True, "volumes": [{"type": "tmpfs", "target": "/tmp"}], "cap_drop": ["ALL"], "init": True,
            "stop_grace_period": f"{work.stop + (DRAIN if work.is_web else 0)}s",
            "logging": {"driver": "journald", "options": {"tag": f"{fleet.app}-{work.name}"}},
            "healthcheck": health(fleet, work),
            **({"ports": ports} if ports else {}),
            "deploy": {**placed(fleet, work.name), "replicas": work.replicas, **changes(fleet, work),
                       **({"resources": {"limits": {"memory": size}}} if (size := memory(fleet.memory)) else {})}}


def environment(work: Workload) -> dict[str, str]:
    """What a container is told besides its settings."""
    own = {"PORT": str(PORT), "DRAIN": str(DRAIN)} if work.is_web else {"READY_FILE": READY_FILE}
    return {"SETTINGS_FILE": SETTINGS, **own}


def placed(fleet: Fleet, role: str) -> Data:
    """Where a service's containers may run, and how others find them: by a name for each, as not every kernel has
    virtual addresses."""
    return {"endpoint_mode": "dnsrr", "placement": {"constraints": [f"node.labels.{fleet.app}.{role} == true"]},
            "restart_policy": {"condition": "any", "delay": "1s"}}


def changes(fleet: Fleet, work: Workload) -> Data:
    """How it changes over. The pause after each part of the web is the canary's; what runs beside its successor waits
    for it to be well."""
    order = "start-first" if work.together else "stop-first"
    back = {"parallelism": 0, "order": order, "failure_action": "continue"}
    many, pause = (at_a_time(fleet), fleet.rollout["canary"]) if work.is_web else (0, 0)
    return {"update_config": {"parallelism": many, "delay": f"{pause}s", "order": order, "monitor": MONITOR,
                              "failure_action": "rollback"}, "rollback_config": back}


def at_a_time(fleet: Fleet) -> int:
    """How many containers of the web change over at once: those that the toml says, or else a quarter of them."""
    return int(fleet.rollout["parallel"]) or max(1, fleet.engine["replicas"]["web"] // 4)


def health(fleet: Fleet, work: Workload) -> Data:
    """The one check that tells when a container works, and whether it still does."""
    how = [] if work.name in BUILT_IN else [work.ready]
    return {"test": ["CMD", "./docker-run.sh", "healthcheck", "ready", *how], "interval": "3s", "timeout": "10s",
            "retries": 10, "start_period": f"{fleet.rollout['ready']}s"}


def proxy_service(fleet: Fleet) -> Data:
    """What gives the visitors of a web host's nginx to the containers, wherever those are: HAProxy, at a socket. It is
    no release's, and changes with its config alone."""
    return {"image": fleet.engine["proxy"], "command": ["haproxy", "-W", "-db", "-f", CONFIG],
            "user": USER, "read_only": True, "cap_drop": ["ALL"], "stop_signal": "SIGUSR1", "stop_grace_period": "1h",
            "configs": [{"source": "proxy", "target": CONFIG}], "labels": {ID: proxy_name(fleet)},
            "volumes": [{"type": "bind", "source": f"/run/{fleet.app}/proxy", "target": "/run/proxy"}],
            "logging": {"driver": "journald", "options": {"tag": f"{fleet.app}-proxy"}},
            "environment": {"RES_OPTIONS": "timeout:1 attempts:1"},  # it asks for each container as it starts
            "deploy": {"mode": "global", **placed(fleet, "web"),
                       "restart_policy": {"condition": "any", "delay": "0s"}, "update_config": {
                           "parallelism": 1, "order": "start-first", "failure_action": "rollback", "monitor": "5s"}}}


def memory(size: str) -> str:
    """A limit of the toml as a stack has it: "auto" is 512 MB here; "" for none."""
    return {"auto": "512M", "off": ""}.get(size, size)
