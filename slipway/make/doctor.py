"""`make doctor`: print what this machine lacks to develop the project, build its image and deploy it.

Exits with 1 if development is impossible. Needs only Python 3.9, as the machine may have nothing else.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from shutil import disk_usage, which

from slipway.envfile import read_file
from slipway.make import image, python
from slipway.make.python import Lack

GB = 1024 ** 3
NOTE = "note: "  # a problem that begins with it is only a hint
says = partial(image.output, seconds=10)


def main(env: dict[str, str]) -> int:
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
    if lack := python.lacks(env["PYTHON"], env["PYTHON_MIN"]):
        yield lack
    if (free := disk_usage(".").free) < GB / 2:
        yield f"only {free / GB:.1f} GB are free in this folder", "free 500 MB for the virtualenv"
    for problem in read_file(Path(".env"))[1]:
        yield problem, "correct it: nothing starts before that"


def build(env: dict[str, str]) -> Iterator[Lack]:
    docker, remote = env.get("DOCKER", "").split() or ["docker"], "DOCKER_HOST" in env
    if not which("git"):
        yield "no git here, but images are named after commits", "apt install git"
    if not which(docker[0]):
        yield "no docker here", "install Docker (https://docs.docker.com/engine/install/)"
    elif says(docker, "version") is not None:
        yield from engine(docker)
    elif not remote and os.path.exists(sock := "/var/run/docker.sock") and not os.access(sock, os.W_OK):
        yield "you have no access to Docker", "sudo usermod -aG docker YOU, then log in again"
    else:
        yield "Docker's engine does not answer", "start it (systemctl start docker, or Docker Desktop)"


def engine(docker: list[str]) -> Iterator[Lack]:
    if says(docker, "buildx", "version") is None:
        yield NOTE + "no buildx here, so Docker uses its classic builder", "apt install docker-buildx-plugin"
    if says(docker, "compose", "version") is None and not which("docker-compose"):
        yield NOTE + "no Docker Compose here, but `make up` needs it", "apt install docker-compose-plugin"
    root = says(docker, "info", "--format", "{{.DockerRootDir}}") or ""
    if os.path.isdir(root) and (free := disk_usage(root).free) < 3 * GB:
        yield f"only {free / GB:.1f} GB are free in Docker's folder", "docker system prune, or free 3 GB there"


def ship(env: dict[str, str]) -> Iterator[Lack]:
    if not which("ssh"):
        yield "no ssh here", "apt install openssh-client"
        return
    if says(["ssh-add"], "-l") is None:
        yield (NOTE + "no ssh-agent with a key; a key with a passphrase needs it",
               'eval "$(ssh-agent)" && ssh-add (ssh-keygen makes a key)')
    names = " ".join(env.get(name, "") for name in ("HOSTS", "CELERY_HOSTS", "BEAT_HOSTS")).split()
    path = f"{env.get('DEPLOY_FOLDER') or 'deploy'}/{env.get('ENV') or 'production'}.toml"
    try:
        names = names or fleet(path)
    except (ImportError, OSError, ValueError, KeyError, AttributeError) as error:
        yield f"the hosts in {path} cannot be read ({error})", "correct it: make config-check lists all errors"
    config = ["-F", env["SSH_CONFIG"]] if env.get("SSH_CONFIG") else []
    with ThreadPoolExecutor(8) as pool:  # in parallel: to resolve an unknown host name takes seconds
        for lacks in pool.map(lambda name: [*host(name, config)], dict.fromkeys(names)):
            yield from lacks


def fleet(path: str) -> list[str]:
    import tomllib  # new in Python 3.11, which the deployer needs anyway
    return [host.get("address", name) for name, host in tomllib.loads(Path(path).read_text())["hosts"].items()]


def host(name: str, config: list[str]) -> Iterator[Lack]:
    """Yield what ssh lacks to reach host `name`: an address or a key in known_hosts. `config`: options for ssh."""
    lines = (says(["ssh"], *config, "-G", "--", name) or "").splitlines()
    first = dict(line.partition(" ")[::2] for line in reversed(lines))  # reversed: the first value wins, as in ssh
    address, port = first.get("hostname", name), first.get("port", "22")
    at = first.get("hostkeyalias") or (address if port == "22" else f"[{address}]:{port}")
    files = f"{first.get('userknownhostsfile', '')} {first.get('globalknownhostsfile', '')}".split()
    asks = not re.match("no|false|off|accept-new", first.get("stricthostkeychecking", ""))
    if not {"proxyjump", "proxycommand"} & {*first} and not resolves(address):
        yield f"{name} has no address", "correct its name, or set HostName in ssh_config"
    elif asks and not any(says(["ssh-keygen"], "-F", known, "-f", os.path.expanduser(file))
                          for file in files for known in (at, address)):  # ssh also accepts a key stored without port
        yield f"known_hosts lacks {at}", f"ssh {name} once; accept only the server's own key"


def resolves(address: str) -> bool:
    try:
        return bool(socket.getaddrinfo(address, None))
    except (OSError, UnicodeError):
        return False


if __name__ == "__main__":
    sys.exit(main(dict(os.environ)))
