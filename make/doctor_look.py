"""What doctor.py goes by: a look at this machine. Asks programs, files and the network, and decides nothing.

Standard library only and Python 3.9, as the machine may lack the Python that the project needs.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 10  # that a program may take to answer


@dataclass(frozen=True)
class Host:
    """A server as ssh sees it. `at`: its name and port, as known_hosts has them."""

    name: str
    at: str
    resolved: bool = True
    known: bool = True
    identities: tuple[str, ...] = ()  # the files of keys that ssh would try, and that exist


@dataclass(frozen=True)
class Machine:
    """What was seen. `env`, `fleet`: what is wrong with .env and with deploy/ENV.toml, in texts."""

    python: tuple[int, ...] = ()
    pythons: tuple[str, ...] = ()  # others of this machine that are new enough
    venv: bool = True
    git: bool = True
    free: int = 0  # bytes
    env: tuple[str, ...] = ()
    pins: dict[str, tuple[str, str]] = field(default_factory=dict)  # .in file → its text, its pins
    servers: str = ""  # the path of the fleet's file
    compose_file: str = "compose.yaml"  # what make up takes
    processes: dict[str, str] = field(default_factory=dict)  # files that name processes, also that one → their texts
    docker: bool = True
    engine: str = ""  # "", "silent" or "denied"
    buildx: bool = True
    compose: bool = True
    docker_free: int | None = None  # None: its folder is elsewhere
    ssh: bool = True
    agent_has_key: bool = True
    fleet: str = ""
    hosts: tuple[Host, ...] = ()


def look(env: dict[str, str]) -> Machine:
    """Look at everything. `env` holds make's variables."""
    docker = env.get("DOCKER", "").split() or ["docker"]
    fleet, hosts = servers(env) if there("ssh") else ("", ())
    return Machine(
        python=sys.version_info[:3], pythons=tuple(other_pythons(env["PYTHON_MIN"])), venv=can_make_venv(),
        git=there("git"), free=free(Path()), env=tuple(env_problems()), pins=pins(env["PINS"].split()),
        servers=str(fleet_file(env)), compose_file=compose_file(), processes={} if by_variables(env) else texts(
            str(fleet_file(env)), env.get("PROCFILE", ""), compose_file()),
        **docker_facts(docker, env), ssh=there("ssh"), agent_has_key=says(["ssh-add", "-l"]) is not None,
        fleet=fleet, hosts=hosts)


def there(program: str) -> bool:
    return shutil.which(program) is not None


def says(command: Sequence[str]) -> str | None:
    """What a command prints; None where it fails, is not there, or does not answer."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              universal_newlines=True, errors="replace", timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout


def other_pythons(least: str) -> list[str]:
    """The Pythons that are new enough, the newest first, by the names they have."""
    names = [f"python3.{minor}" for minor in range(16, int(least.split(".")[1]) - 1, -1)]
    return [name for name in names if there(name) and says([name, "-V"])]


def can_make_venv() -> bool:
    """Whether this Python has what make_ve.py needs. make_install.py, beside this file, knows."""
    from make_install import pip_wheel
    return pip_wheel() is not None


def free(folder: Path) -> int:
    """The bytes free where a folder is."""
    return shutil.disk_usage(folder).free


def env_problems() -> list[str]:
    """What is wrong with .env, by the project's own reader of it; without one, nothing."""
    path = Path("slipway/envfile.py")
    spec = importlib.util.spec_from_file_location("envfile", path) if path.exists() else None
    if not spec or not spec.loader:
        return []
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.read_file(".env")[1])


def pins(files: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Each .in file that is there, with its text and its pins'."""
    sources = {name: Path(name).with_suffix(".in") for name in files}
    return {str(source): (source.read_text(), Path(name).read_text() if Path(name).exists() else "")
            for name, source in sources.items() if source.exists()}


def texts(*paths: str) -> dict[str, str]:
    """Path → text of those that are files."""
    return {path: Path(path).read_text(errors="replace") for path in paths if os.path.isfile(path)}


def compose_file() -> str:
    """The template's, which has another name beside one of the team's own."""
    beside = "compose.slipway.yaml"
    return beside if os.path.isfile(beside) else "compose.yaml"


def by_variables(env: dict[str, str]) -> list[str]:
    """The hosts of a fleet without file."""
    return " ".join(env.get(name, "") for name in ("HOSTS", "CELERY_HOSTS", "BEAT_HOSTS")).split()


def fleet_file(env: dict[str, str]) -> Path:
    """Where the servers are described."""
    return Path("deploy", f"{env.get('ENV') or 'production'}.toml")


def docker_facts(docker: list[str], env: dict[str, str]) -> dict[str, Any]:
    """The part of Machine that is Docker's."""
    if not there(docker[0]):
        return {"docker": False}
    if says([*docker, "version"]) is None:
        return {"engine": "denied" if denied(env) else "silent"}
    root = (says([*docker, "info", "--format", "{{.DockerRootDir}}"]) or "").strip()
    local = not env.get("DOCKER_HOST", "").startswith(("tcp:", "ssh:")) and os.path.isdir(root)
    return {"buildx": says([*docker, "buildx", "version"]) is not None,
            "compose": says([*docker, "compose", "version"]) is not None or there("docker-compose"),
            "docker_free": free(Path(root)) if local else None}


def denied(env: dict[str, str], path: str = "/var/run/docker.sock") -> bool:
    """Whether the engine's socket is there, but not for this user."""
    return not env.get("DOCKER_HOST") and os.path.exists(path) and not os.access(path, os.W_OK)


def servers(env: dict[str, str]) -> tuple[str, tuple[Host, ...]]:
    """What is wrong with the fleet's file, and its hosts; the variables of a fleet without file go before it."""
    named = by_variables(env)
    path, problem = fleet_file(env), ""
    if not named and path.parent.is_dir():
        named, problem = read_fleet(path)
    config = ["-F", env["SSH_CONFIG"]] if env.get("SSH_CONFIG") else []
    with ThreadPoolExecutor(8) as pool:  # a name that nobody knows takes seconds
        return problem, tuple(pool.map(lambda name: host(name, config), dict.fromkeys(named)))


def read_fleet(path: Path) -> tuple[list[str], str]:
    """The addresses of a fleet's hosts, or what is wrong. `make config-check` tells all that is."""
    try:
        import tomllib
        hosts = tomllib.loads(path.read_text())["hosts"]
        return [host.get("address", name) for name, host in hosts.items()], ""
    except ImportError:  # a Python older than 3.11, which is told of anyway
        return [], ""
    except OSError as error:
        return [], f"{path}: {error.strerror}"
    except ValueError as error:
        return [], f"{path} is not TOML: {error}"
    except (KeyError, AttributeError):
        return [], f"{path} names no hosts"


def host(name: str, config: list[str]) -> Host:
    """What ssh's settings, the resolver and known_hosts say of a host."""
    settings: dict[str, list[str]] = {}
    for key, _, value in (line.partition(" ") for line in (says(["ssh", *config, "-G", "--", name]) or "").split("\n")):
        settings.setdefault(key, []).append(value)
    first = {key: values[0] for key, values in settings.items()}
    address, port = first.get("hostname", name.rpartition("@")[2]), first.get("port", "22")
    names = known_as(address, port, first.get("hostkeyalias", ""))
    far = any(first.get(key, "none") != "none" for key in ("proxyjump", "proxycommand"))
    identities = (os.path.expanduser(path) for path in settings.get("identityfile", []))
    return Host(name, names[0], far or resolves(address), is_known(names, first),
                tuple(path for path in identities if os.path.exists(path)))


def resolves(address: str) -> bool:
    try:
        return bool(socket.getaddrinfo(address, None))
    except (OSError, UnicodeError):
        return False


def known_as(address: str, port: str, alias: str) -> tuple[str, ...]:
    """The names by which ssh looks for a host's key, the first of which it stores it by. Of a port other than 22 it
    also takes the key that the address has without one."""
    return (alias or address,) if alias or port == "22" else (f"[{address}]:{port}", address)


def is_known(names: Sequence[str], settings: dict[str, str]) -> bool:
    """Whether a known_hosts has the host by one of its names, or ssh does not ask for it there."""
    if re.match("no|false|off|accept-new", settings.get("stricthostkeychecking", "")) or settings.get(
            "knownhostscommand", "none") != "none":
        return True
    files = f"{settings.get('userknownhostsfile', '')} {settings.get('globalknownhostsfile', '')}".split()
    return any(says(["ssh-keygen", "-F", name, "-f", os.path.expanduser(file)]) for file in files for name in names)
