"""The fleet: which hosts there are, what runs on each, and how a release is brought there. Pure but for reading files.

deploy/production.toml describes every key; schema.py says what each may hold.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from . import schema
from .checks import TOO_DEEP
from .ssh import Ssh

FOLDER = Path(__file__).resolve().parents[1]
CLASSIC = {"HOSTS": "web", "CELERY_HOSTS": "worker", "BEAT_HOSTS": "beat"}
Table = dict[str, Any]  # of the file, as schema.py has it


@dataclass(frozen=True)
class Host:
    """A server. `address` is what ssh is told: a name of ssh_config, an address, user@address."""

    name: str
    address: str
    roles: tuple[str, ...] = ()
    balancer: bool = False
    internal: str = ""
    opts: str = ""

    def has(self, role: str) -> bool:
        return role in self.roles


@dataclass(frozen=True)
class Fleet:
    """Everything of one environment. The tables keep the keys of the file, with every default filled in.

    `by_variables`: from HOSTS and the like, which do not say all that the servers were provisioned with; `ssh`: how
    hosts are reached.
    """

    app: str
    image: str
    hosts: tuple[Host, ...]
    registry: str = ""
    registry_login: str = ""
    media: str = "local"
    opts: str = ""
    memory: str = "auto"
    site: Table = field(default_factory=dict)
    rollout: Table = field(default_factory=dict)
    hooks: Table = field(default_factory=dict)
    server: Table = field(default_factory=dict)
    by_variables: bool = False
    ssh: Ssh = Ssh()

    def with_role(self, role: str) -> list[Host]:
        """The hosts that have a role, in the order of the file."""
        return [host for host in self.hosts if host.has(role)]

    @property
    def app_hosts(self) -> list[Host]:
        """The hosts on which the app runs, so not those that only balance."""
        return [host for host in self.hosts if host.roles]

    @property
    def balancers(self) -> list[Host]:
        return [host for host in self.hosts if host.balancer]

    def chosen(self, text: str, balancers: bool = False) -> list[Host]:
        """The hosts that --hosts names (all, where it says nothing), in the order of the file; without `balancers`
        those that run the app. Raises ConfigError for a name there is not, and where none is left."""
        names = [name.strip() for name in text.split(",") if name.strip()]
        known = [host for host in self.hosts if host.roles or balancers]
        unknown = [name for name in names if name not in {host.name for host in self.hosts}]
        found = [host for host in known if host.name in names or not text]
        if unknown or not found:
            there = f"there are: {', '.join(host.name for host in known)}"
            raise ConfigError("hosts", [f"there is no {name!r}; {there}" for name in unknown]
                              or [f"{text!r} names none that runs the app; {there}"])
        return found


def load(path: str | Path, env: Mapping[str, str]) -> Fleet:
    """The Fleet of a toml file; app and image may come from APP and IMAGE in `env`. Raises ConfigError."""
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(path, ["there is no such file: write one after docs/provision.md, or set HOSTS"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, [f"cannot be read: {getattr(error, 'strerror', '') or 'it is not UTF-8'}"]) from None
    except RecursionError:
        raise ConfigError(path, [TOO_DEEP]) from None
    except ValueError as error:
        raise ConfigError(path, [f"is not TOML: {error}"]) from None
    return build(data, env, path)


def from_environment(env: Mapping[str, str]) -> Fleet:
    """The Fleet of the classic variables: HOSTS="app1 app2" CELERY_HOSTS=app3 BEAT_HOSTS=app3 APP=… IMAGE=….

    A host may be in several of them. Raises ConfigError.
    """
    hosts: dict[str, dict[str, Any]] = {}
    for variable, role in CLASSIC.items():
        for address in env.get(variable, "").split():
            name = address.rpartition("@")[2]
            host = hosts.setdefault(name, {"address": address, "roles": []})
            host["roles"] += [role] if role not in host["roles"] else []
    # Where uploads go is not said: with several web hosts it must be to a bucket.
    web = [host for host in hosts.values() if "web" in host["roles"]]
    fleet = build({"hosts": hosts, "media": "bucket" if len(web) > 1 else "local"}, env, "environment")
    return replace(fleet, by_variables=True)


def find(env: Mapping[str, str], path: str = "") -> Fleet:
    """The Fleet that is meant: of `path`, of HOSTS and the like, or of deploy/$ENV.toml. Raises ConfigError."""
    if path:
        return load(path, env)
    if any(env.get(variable) for variable in CLASSIC):
        return from_environment(env)
    return load(Path(os.path.relpath(FOLDER / f"{env.get('ENV') or 'production'}.toml")), env)


def build(data: dict[str, Any], env: Mapping[str, str], source: object) -> Fleet:
    """The Fleet of parsed data, every default filled in. Raises ConfigError with all that is wrong."""
    data = {**data, **{key: env[key.upper()] for key in ("app", "image") if key not in data and env.get(key.upper())}}
    problems = schema.check(data)
    if problems:
        raise ConfigError(source, problems)
    registry = data.get("registry", {})
    hosts = tuple(Host(name, **{"address": name, **values, "roles": tuple(values.get("roles", ()))})
                  for name, values in data["hosts"].items())
    site, rollout, hooks, server = ({**schema.defaults(table), **data.get(table, {})}
                                    for table in ("site", "rollout", "hooks", "server"))
    return Fleet(data["app"], data["image"], hosts, media=data.get("media", "local"), opts=data.get("opts", ""),
                 memory=data.get("memory", "auto"),
                 registry=registry if isinstance(registry, str) else "",
                 registry_login="" if isinstance(registry, str) else registry.get("login", ""),
                 site=site, rollout=rollout, hooks=hooks, server=server)
