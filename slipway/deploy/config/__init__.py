"""The fleet: its hosts, what runs on each, how a release is brought there. Pure but for reading files."""

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..agent.roles import BUILT_IN, Process
from ..errors import Refused
from . import between, schema
from .checks import shown
from .ssh import Ssh

FOLDER = Path(__file__).resolve().parents[3] / "deploy"
CLASSIC = {"HOSTS": "web", "CELERY_HOSTS": "worker", "BEAT_HOSTS": "beat"}
Table = dict[str, Any]  # of the file, as schema.py has it


@dataclass(frozen=True)
class Host:
    """A server. `address` is for ssh: a name of ssh_config, an address, user@address."""

    name: str
    address: str
    roles: tuple[str, ...] = ()
    balancer: bool = False
    internal: str = ""
    opts: str = ""

    def has(self, role: str) -> bool:
        """Whether the host has this role."""
        return role in self.roles

    @property
    def internal_address(self) -> str:
        """Where other hosts reach this one."""
        return self.internal or self.address.rpartition("@")[2]


@dataclass(frozen=True)
class Fleet:
    """The configuration of one environment; tables have every default filled in. `by_variables`: it comes from HOSTS
    and the like, which do not say all that the servers were provisioned with. `ssh`: how hosts are reached."""

    app: str
    image: str
    hosts: tuple[Host, ...]
    registry: str = ""
    registry_login: str = ""
    media: str = "local"
    opts: str = ""
    memory: str = "auto"
    balancer: str = "file"
    site: Table = field(default_factory=dict)
    rollout: Table = field(default_factory=dict)
    hooks: Table = field(default_factory=dict)
    watch: Table = field(default_factory=dict)
    engine: Table = field(default_factory=dict)
    static: Table = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=lambda: dict(BUILT_IN))
    by_variables: bool = False
    ssh: Ssh = Ssh()

    def with_role(self, role: str) -> list[Host]:
        """The hosts that have a role, in the order of the file."""
        return [host for host in self.hosts if host.has(role)]

    def alone(self) -> list[str]:
        """The roles of which a host runs one at a time."""
        return [name for name, process in self.processes.items() if not process.overlap]

    def behind_web(self) -> list[str]:
        """The roles besides web that run in slots."""
        return [name for name, process in self.processes.items() if process.overlap and name != "web"]

    @property
    def app_hosts(self) -> list[Host]:
        """The hosts on which the app runs, so not those that only balance."""
        return [host for host in self.hosts if host.roles]

    @property
    def balancers(self) -> list[Host]:
        """The hosts that balance."""
        return [host for host in self.hosts if host.balancer]

    @property
    def is_swarm(self) -> bool:
        """Whether Docker Swarm runs the app on the hosts."""
        return bool(self.engine) and self.engine["kind"] == "swarm"

    @property
    def by_consul(self) -> bool:
        """Whether web hosts tell Consul of themselves, and balancers take them from there."""
        return self.balancer == "consul"

    def chosen(self, text: str, balancers: bool = False) -> list[Host]:
        """The hosts that --hosts names, or all without it, in the order of the file. Those that only balance are left
        out, unless `balancers`. Raises Refused for an unknown name, and where no host is left."""
        names = [name.strip() for name in text.split(",") if name.strip()]
        known = [host for host in self.hosts if host.roles or balancers]
        unknown = [name for name in names if name not in {host.name for host in self.hosts}]
        found = [host for host in known if host.name in names or not text]
        if unknown or not found:
            there = f"there are: {', '.join(host.name for host in known)}"
            raise refusal("hosts", [f"there is no {name!r}; {there}" for name in unknown]
                          or [f"{text!r} names none that runs the app; {there}"])
        return found


def refusal(source: object, problems: Iterable[str]) -> Refused:
    """The error that tells each problem in a line, after the file or the variables it is in."""
    return Refused("\n".join(f"{source}: {problem}" for problem in problems))


def load(path: str | Path, env: Mapping[str, str]) -> Fleet:
    """The Fleet of a toml file; app and image may come from APP and IMAGE in `env`. Raises Refused."""
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise refusal(path, ["there is no such file: write one after docs/provision.md, or set HOSTS"]) from None
    except OSError as error:
        raise refusal(path, [f"cannot be read: {error.strerror}"]) from None
    except (ValueError, RecursionError) as error:  # of text in UTF-8, or of TOML
        raise refusal(path, [f"is not TOML: {error}"]) from None
    return build(data, env, path)


def from_environment(env: Mapping[str, str]) -> Fleet:
    """Return the Fleet of HOSTS="app1 app2" CELERY_HOSTS=app3 BEAT_HOSTS=app3 APP=… IMAGE=…. Raises Refused."""
    hosts: dict[str, dict[str, Any]] = {}
    for variable, role in CLASSIC.items():
        for address in env.get(variable, "").split():
            name = address.rpartition("@")[2]
            host = hosts.setdefault(name, {"address": address, "roles": []})
            host["roles"] += [role] if role not in host["roles"] else []
    # No variable says where uploads go: with several web hosts it must be a bucket.
    web = [host for host in hosts.values() if "web" in host["roles"]]
    fleet = build({"hosts": hosts, "media": "bucket" if len(web) > 1 else "local"}, env, "environment")
    return replace(fleet, by_variables=True)


def find(env: Mapping[str, str], path: str = "") -> Fleet:
    """The Fleet of the file `path`, else of HOSTS and the like, else of deploy/$ENV.toml. Raises Refused."""
    if path:
        return load(path, env)
    if any(env.get(variable) for variable in CLASSIC):
        return from_environment(env)
    return load(Path(os.path.relpath(FOLDER / f"{env.get('ENV') or 'production'}.toml")), env)


def build(data: dict[str, Any], env: Mapping[str, str], source: object) -> Fleet:
    """Return the Fleet of a parsed file. Raises Refused with all that is wrong, after the file's name `source`."""
    named = data.get("image")
    data = {**data, **{key: env[key.upper()] for key in ("app", "image") if key not in data and env.get(key.upper())}}
    if problems := [*schema.check(data), *two_names(named, env)]:
        raise refusal(source, problems)
    registry = data.get("registry", {})
    hosts = tuple(Host(name, **{"address": name, **values, "roles": tuple(values.get("roles", ()))})
                  for name, values in data.get("hosts", {}).items())
    tables: dict[str, Any] = {table: {**schema.defaults(table), **data.get(table, {})} for table in schema.TABLES}
    unset = {key: default for key, (_, default) in schema.PROCESS.items()}
    own = {name: Process(name, **{**unset, **values}) for name, values in data.get("process", {}).items()}
    fleet = Fleet(data["app"], data["image"], hosts, media=data.get("media", "local"), opts=data.get("opts", ""),
                  memory=data.get("memory", "auto"), balancer=data.get("balancer", "file"),
                  registry=registry if isinstance(registry, str) else "",
                  registry_login="" if isinstance(registry, str) else registry.get("login", ""),
                  processes=BUILT_IN | own, **tables)
    if problems := [f"{path}: {problem}" for path, problem in between.problems(fleet)]:
        raise refusal(source, problems)
    return fleet


def two_names(image: object, env: Mapping[str, str]) -> list[str]:
    """Return what is wrong if the file names an image and IMAGE another; IMAGE's own default, APP, is no other."""
    if image is None or env.get("IMAGE", "") in ("", image, env.get("APP")):
        return []
    return [f"image: is {shown(image)}, and IMAGE is {env['IMAGE']!r}: leave it out, IMAGE is the one place"]
