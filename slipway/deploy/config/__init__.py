"""Loads the configuration of a fleet (the servers of one environment): hosts, their roles, settings of deploys."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..agent.roles import BUILT_IN, SERVICES, Process
from ..errors import Refused
from . import consistency, schema
from .ssh import Ssh

CLASSIC = {"HOSTS": "web", "CELERY_HOSTS": "worker", "BEAT_HOSTS": "beat"}
SERVICE_DEFAULTS = {"postgres": ("postgres:17", "1g"), "redis": ("redis:7", "256m")}  # kind → image and memory
Table = dict[str, Any]  # a table of the toml file; schema.py lists its keys


@dataclass(frozen=True)
class Host:
    """A server, as production.toml describes it."""

    name: str
    address: str  # for ssh: a name in ssh_config, an address, or user@address
    roles: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    balancer: bool = False
    internal: str = ""
    opts: str = ""

    def has(self, role: str) -> bool:
        return role in self.roles

    @property
    def internal_address(self) -> str:
        """The address at which other hosts reach this one."""
        return self.internal or self.address.rpartition("@")[2]


@dataclass(frozen=True)
class Service:
    """A database or broker of the app, in a container on one of its hosts. `kind`: one of SERVICES. `tls`: True if
    other hosts reach it by TLS, with a certificate that provisioning makes. `extensions`: of Postgres, which the
    superuser adds to the app's database."""

    kind: str
    host: Host
    image: str
    memory: str
    tls: bool = False
    extensions: tuple[str, ...] = ()

    @classmethod
    def on(cls, host: Host, kind: str, keys: Table) -> "Service":
        """Build the service from its table in the file. Keys that the table lacks have default values."""
        image, memory = SERVICE_DEFAULTS[kind]
        more = keys.get("tls", False), tuple(keys.get("extensions", ()))
        return cls(kind, host, keys.get("image") or image, keys.get("memory") or memory, *more)


@dataclass(frozen=True)
class Fleet:
    """The configuration of one environment, such as production. Keys that its file lacks have default values."""

    app: str
    image: str
    hosts: tuple[Host, ...]
    registry: str = ""
    registry_login: str = ""
    media: str = "local"
    opts: str = ""
    memory: str = "auto"
    deploy_keys: list[str] = field(default_factory=list)
    watch_keys: list[str] = field(default_factory=list)
    balancer: str = "file"
    site: Table = field(default_factory=dict)
    rollout: Table = field(default_factory=dict)
    hooks: Table = field(default_factory=dict)
    watch: Table = field(default_factory=dict)
    engine: Table = field(default_factory=dict)
    static: Table = field(default_factory=dict)
    backup: Table = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=lambda: dict(BUILT_IN))
    timed: dict[str, Process] = field(default_factory=dict)  # the processes with a schedule, which no deploy knows
    services: tuple[Service, ...] = ()
    by_variables: bool = False  # True: read from HOSTS and similar variables, which cannot set all keys
    ssh: Ssh = Ssh()

    def with_role(self, role: str) -> list[Host]:
        return [host for host in self.hosts if host.has(role)]

    @property
    def roles(self) -> dict[str, Process]:
        return self.processes | self.timed

    def alone(self) -> list[str]:
        """Return the roles without `overlap`: their old process stops before the new one starts."""
        return [name for name, process in self.processes.items() if not process.overlap]

    def behind_web(self) -> list[str]:
        """Return the roles with `overlap`, except web."""
        return [name for name, process in self.processes.items() if process.overlap and name != "web"]

    @property
    def app_hosts(self) -> list[Host]:
        """The hosts that run the app. All other hosts have only services, or are only balancers."""
        return [host for host in self.hosts if host.roles]

    @property
    def by_socket(self) -> bool:
        """True if the app reaches its services by unix sockets, as everything runs on one host."""
        return len({host.name for host in self.hosts if host.roles or host.services}) == 1

    @property
    def postgres_host(self) -> Host | None:
        return next((service.host for service in self.services if service.kind == "postgres"), None)

    @property
    def backup_hosts(self) -> list[Host]:
        """The hosts that send backups: first that with the app's Postgres, if it has one, then the one with its files.
        The first one makes the repository's password."""
        if not self.backup or not self.backup["to"]:
            return []
        files = [*self.with_role("web"), *self.app_hosts][:1]
        return list(dict.fromkeys([*filter(None, [self.postgres_host]), *files]))

    @property
    def limited_keys(self) -> list[str]:
        """The public keys that may deploy or watch this app, and nothing else."""
        return [*self.deploy_keys, *self.watch_keys]

    @property
    def balancers(self) -> list[Host]:
        return [host for host in self.hosts if host.balancer]

    @property
    def is_swarm(self) -> bool:
        return bool(self.engine) and self.engine["kind"] == "swarm"

    @property
    def by_consul(self) -> bool:
        return self.balancer == "consul"

    def chosen(self, text: str, balancers: bool = False) -> list[Host]:
        """Return the hosts named in `text` (the value of --hosts), or all hosts if `text` is "". Leave out hosts that
        are only balancers, unless `balancers` is True. Raise Refused if a name is unknown or no host remains."""
        names = [name.strip() for name in text.split(",") if name.strip()]
        possible = [host for host in self.hosts if host.roles or balancers]
        unknown = [name for name in names if name not in {host.name for host in self.hosts}]
        chosen = [host for host in possible if host.name in names or not text]
        if unknown or not chosen:
            listing = f"the hosts are: {', '.join(host.name for host in possible)}"
            raise refusal(
                "hosts",
                [f"there is no {name!r}; {listing}" for name in unknown]
                or [f"{text!r}: the app does not run there; {listing}"],
            )
        return chosen


def refusal(source: object, problems: Iterable[str]) -> Refused:
    return Refused("\n".join(f"{source}: {problem}" for problem in problems))


def load(path: str | Path, env: Mapping[str, str]) -> Fleet:
    """Read a toml file. IMAGE of `env` replaces its `image`. If it lacks `app`, use APP; if it lacks `image`, the app's
    name. Raise Refused if the file is wrong."""
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise refusal(path, ["there is no such file: write one as in docs/provision.md, or set HOSTS"]) from None
    except OSError as error:
        raise refusal(path, [f"cannot be read: {error.strerror}"]) from None
    except (ValueError, RecursionError) as error:  # not UTF-8, or not TOML
        raise refusal(path, [f"is not TOML: {error}"]) from None
    return build(data, env, path)


def from_environment(env: Mapping[str, str]) -> Fleet:
    """Build a Fleet from HOSTS="app1 app2" CELERY_HOSTS=… BEAT_HOSTS=… APP=… IMAGE=…. Raise Refused if one is wrong."""
    hosts: dict[str, dict[str, Any]] = {}
    for variable, role in CLASSIC.items():
        for address in env.get(variable, "").split():
            name = re.sub("[:%]", "-", address.rpartition("@")[2])  # 2001-db8--1 for the host 2001:db8::1
            host = hosts.setdefault(name, {"address": address, "roles": []})
            host["roles"] += [role] if role not in host["roles"] else []
    # HOSTS and the like cannot name the place of uploads, so choose it: unknown for several web hosts, else a folder.
    web = [host for host in hosts.values() if "web" in host["roles"]]
    fleet = build({"hosts": hosts, "media": "none" if len(web) > 1 else "local"}, env, "environment")
    return replace(fleet, by_variables=True)


def find(env: Mapping[str, str], path: str = "") -> Fleet:
    """Load the file `path`. Without a path, read HOSTS and similar variables; if none is set, load
    $DEPLOY_FOLDER/$ENV.toml. Raise Refused if the configuration is missing or wrong."""
    if path:
        return load(path, env)
    if any(env.get(variable) for variable in CLASSIC):
        return from_environment(env)
    return load(f"{folder(env)}/{env.get('ENV') or 'production'}.toml", env)


def folder(env: Mapping[str, str]) -> str:
    """Return the folder that contains production.toml and the team's other files about servers."""
    return env.get("DEPLOY_FOLDER") or "deploy"


def build(data: dict[str, Any], env: Mapping[str, str], source: object) -> Fleet:
    """Build a Fleet from parsed data. Raise Refused if the data is wrong. `source`: the data's name in errors."""
    app = {"app": env["APP"]} if env.get("APP") else {}
    image = {"image": env["IMAGE"]} if env.get("IMAGE") else {}
    data = {**app, **data, **image}
    if "app" in data:
        data.setdefault("image", data["app"])
    if problems := schema.check(data):
        raise refusal(source, problems)
    values: dict[str, Any] = {key: data.get(key, default) for key, (_, default) in schema.TOP.items()}
    registry = values.pop("registry")
    processes = values.pop("process")
    services = values.pop("service")
    hosts = tuple(host_of(name, keys) for name, keys in data["hosts"].items())
    tables = {table: {**schema.defaults(table), **values[table]} for table in schema.TABLES}
    unset = {key: default for key, (_, default) in schema.PROCESS.items()}
    own = {name: Process(name, **{**unset, **keys}) for name, keys in processes.items()}
    timed = {name: process for name, process in own.items() if process.schedule}
    always = {name: process for name, process in own.items() if not process.schedule}
    fleet = Fleet(
        **{
            **values,
            **tables,
            "hosts": hosts,
            "processes": BUILT_IN | always,
            "timed": timed,
            "services": tuple(
                Service.on(host, kind, services.get(kind, {})) for host in hosts for kind in host.services
            ),
            "registry": registry if isinstance(registry, str) else "",
            "registry_login": "" if isinstance(registry, str) else registry.get("login", ""),
        }
    )
    faults = [*consistency.problems(fleet), *consistency.of_services(fleet, services)]
    if problems := [f"{path}: {problem}" for path, problem in faults]:
        raise refusal(source, problems)
    return fleet


def host_of(name: str, keys: Table) -> Host:
    roles = keys.get("roles", ())
    return Host(
        name,
        **{
            "address": name,
            **keys,
            "roles": tuple(role for role in roles if role not in SERVICES),
            "services": tuple(role for role in roles if role in SERVICES),
        },
    )
