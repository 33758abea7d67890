"""make doctor: what this machine lacks to develop, build and ship, and what to do: a line each.

Exit code 0 where one can develop, 1 where not. Python 3.9 and the standard library, as the machine may have no more.
"""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import disk_usage, which

sys.dont_write_bytecode = True  # the checkout is no place for it
GB = 1024 ** 3
Lack = tuple[str, str]  # what is lacking, and the cure; one that begins with NOTE hinders nothing
NOTE = "note: "


def main(env: dict[str, str]) -> int:
    """Print what is lacking, then what this machine is ready for. `env` holds make's variables."""
    found = {"develop": [*develop(env)], "build": [*build(env)], "ship": [*ship(env)]}
    for purpose, lacks in found.items():
        for text, cure in lacks:
            print(f"{purpose:8} {text}: {cure}")
    lacking = [purpose for purpose, lacks in found.items() if any(not text.startswith(NOTE) for text, _ in lacks)]
    ready = [purpose for purpose in found if purpose not in lacking]
    print("; ".join(f"{words} for: {', '.join(names)}"
                    for words, names in (("ready", ready), ("not ready", lacking)) if names))
    return "develop" in lacking


def develop(env: dict[str, str]) -> Iterator[Lack]:
    """Look at what runserver and the tests need."""
    least = tuple(map(int, env["PYTHON_MIN"].split(".")))
    version = "{}.{}".format(*sys.version_info)
    if sys.version_info < least:
        newer = [f"python3.{minor}" for minor in range(least[1], 20) if which(f"python3.{minor}")]
        yield (f"{env['PYTHON']} is Python {version}, and this project needs {env['PYTHON_MIN']} or newer",
               f"run make PYTHON={newer[-1]}" if newer else "install one, or name it by PYTHON")
    elif not importlib.util.find_spec("ensurepip"):
        yield f"{env['PYTHON']} lacks the venv module", f"apt install python{version}-venv (or python3-venv)"
    if (free := disk_usage(".").free) < GB / 2:
        yield f"{free / GB:.1f} GB are free in this folder", "free 500 MB for the virtualenv"
    for problem in env_problems():
        yield problem, "correct it, as nothing starts with it"


def env_problems(reader: Path = Path("slipway/envfile.py")) -> list[str]:
    """Ask the project's own reader of .env what is wrong with it; without one, nothing."""
    spec = importlib.util.spec_from_file_location("envfile", reader) if reader.exists() else None
    if not spec or not spec.loader:
        return []
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.read_file(".env")[1])


def build(env: dict[str, str]) -> Iterator[Lack]:
    """Look at what make build, up and push need."""
    docker, remote = env.get("DOCKER", "").split() or ["docker"], "DOCKER_HOST" in env
    if not which("git"):
        yield "no git here, and a commit names each image", "apt install git"
    if not which(docker[0]):
        yield "no docker here", "install Docker (https://docs.docker.com/engine/install/)"
    elif says(*docker, "version") is not None:
        yield from engine(docker)
    elif not remote and os.path.exists(sock := "/var/run/docker.sock") and not os.access(sock, os.W_OK):
        yield "you may not use Docker here", "sudo usermod -aG docker YOU, then log in again"
    else:
        yield "no Docker engine answers", "start it (systemctl start docker, or Docker Desktop)"


def engine(docker: list[str]) -> Iterator[Lack]:
    """Look for what an engine that answers lacks."""
    if says(*docker, "buildx", "version") is None:
        yield NOTE + "no buildx here, so the classic builder builds", "apt install docker-buildx-plugin"
    if says(*docker, "compose", "version") is None and not which("docker-compose"):
        yield NOTE + "no Docker Compose here, which make up needs", "apt install docker-compose-plugin"
    root = (says(*docker, "info", "--format", "{{.DockerRootDir}}") or "").strip()
    if os.path.isdir(root) and (free := disk_usage(root).free) < 3 * GB:
        yield f"{free / GB:.1f} GB are free in Docker's folder", "docker system prune, or free 3 GB there"


def ship(env: dict[str, str]) -> Iterator[Lack]:
    """Look at what the commands that go to servers need."""
    if not which("ssh"):
        yield "no ssh here", "apt install openssh-client"
        return
    if says("ssh-add", "-l") is None:
        yield (NOTE + "no ssh-agent with a key, which keys with a passphrase need",
               'eval "$(ssh-agent)" && ssh-add (ssh-keygen makes a key)')
    names = " ".join(env.get(name, "") for name in ("HOSTS", "CELERY_HOSTS", "BEAT_HOSTS")).split()
    path = f"deploy/{env.get('ENV') or 'production'}.toml"
    try:
        names = names or fleet(path)
    except (ImportError, OSError, ValueError, KeyError, AttributeError) as error:
        yield f"{path} names no hosts that can be read ({error})", "correct it: make config-check tells all"
    config = ["-F", env["SSH_CONFIG"]] if env.get("SSH_CONFIG") else []
    with ThreadPoolExecutor(8) as pool:  # a name that nobody knows takes seconds
        for lacks in pool.map(lambda name: [*host(name, config)], dict.fromkeys(names)):
            yield from lacks


def fleet(path: str) -> list[str]:
    """The addresses of the fleet's hosts."""
    import tomllib  # the deployer needs Python 3.11, too
    return [host.get("address", name) for name, host in tomllib.loads(Path(path).read_text())["hosts"].items()]


def host(name: str, config: list[str]) -> Iterator[Lack]:
    """Ask ssh's settings, the resolver and known_hosts about a host."""
    lines = (says("ssh", *config, "-G", "--", name) or "").splitlines()
    first = dict(line.partition(" ")[::2] for line in reversed(lines))  # of several values the first counts
    address, port = first.get("hostname", name), first.get("port", "22")
    at = first.get("hostkeyalias") or (address if port == "22" else f"[{address}]:{port}")
    files = f"{first.get('userknownhostsfile', '')} {first.get('globalknownhostsfile', '')}".split()
    asks = not re.match("no|false|off|accept-new", first.get("stricthostkeychecking", ""))
    if not {"proxyjump", "proxycommand"} & {*first} and not resolves(address):
        yield f"{name} is not found", "correct its address, or give it one in ssh_config"
    elif asks and not any(says("ssh-keygen", "-F", known, "-f", os.path.expanduser(file))
                          for file in files for known in (at, address)):  # ssh takes a key without a port as well
        yield f"known_hosts lacks {at}", f"ssh {name} once, and compare its key"


def resolves(address: str) -> bool:
    try:
        return bool(socket.getaddrinfo(address, None))
    except (OSError, UnicodeError):
        return False


def says(*command: str) -> str | None:
    """What a command prints; None where it fails, is not there, or does not answer."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True, errors="replace", timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout


if __name__ == "__main__":
    sys.exit(main(dict(os.environ)))
