"""`make doctor`: print what this machine lacks to develop the project, build its image and deploy it.

Exits with 1 if development is impossible. Needs only Python 3.9, as the machine may have nothing else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from shutil import disk_usage, which

from slipway.envfile import read_file
from slipway.make import image, python

GB = 1024**3
DEBIANS = {"bookworm": (3, 11), "trixie": (3, 13)}  # release → its Python
NOTE = "note: "  # what begins with it is only a hint
says = partial(image.output, seconds=10)


def main(env: dict[str, str]) -> int:
    by_purpose = {"develop": [*develop(env)], "build": [*build(env)], "ship": [*ship()]}
    for purpose, lacks in by_purpose.items():
        for lack in lacks:
            print(f"{purpose:8} {lack}")
    lacking = [purpose for purpose, lacks in by_purpose.items() if any(not lack.startswith(NOTE) for lack in lacks)]
    ready = [purpose for purpose in by_purpose if purpose not in lacking]
    print(
        "; ".join(
            f"{words} for: {', '.join(names)}" for words, names in (("ready", ready), ("not ready", lacking)) if names
        )
    )
    return "develop" in lacking


def develop(env: dict[str, str]) -> Iterator[str]:
    if lack := python.lacks(env["PYTHON"], env["PYTHON_MIN"]):
        yield lack
    yield from another_python(env.get("BASE", ""))
    if (free := disk_usage(".").free) < GB / 2:
        yield f"only {free / GB:.1f} GB are free in this folder: free 500 MB for the virtualenv"
    for problem in read_file(Path(".env"))[1]:
        yield f"{problem}: correct it: nothing starts before that"


def another_python(base: str) -> Iterator[str]:
    """Say so if the image, from `base`, has another Python than development."""
    own = sys.version_info[:2]
    for other in (version for name, version in DEBIANS.items() if name in base and version != own):
        yield NOTE + "Python is {}.{} here and {}.{} in the image".format(*own, *other)


def build(env: dict[str, str]) -> Iterator[str]:
    docker, remote = env.get("DOCKER", "").split() or ["docker"], "DOCKER_HOST" in env
    if not which("git"):
        yield "no git here, but images are named after commits: apt install git"
    elif Path(".git").exists() and says(["git", "rev-parse", "--git-dir"]) is None:
        yield "git does not read this repository, so images have no commit's name: git status says why"
    if not which(docker[0]):
        yield "no docker here: install Docker (https://docs.docker.com/engine/install/)"
    elif says(docker, "version") is not None:
        yield from engine(docker)
    elif not remote and os.path.exists(sock := "/var/run/docker.sock") and not os.access(sock, os.W_OK):
        yield "you have no access to Docker: sudo usermod -aG docker YOU, then log in again"
    else:
        yield "Docker's engine does not answer: start it (systemctl start docker, or Docker Desktop)"


def engine(docker: list[str]) -> Iterator[str]:
    if says(docker, "buildx", "version") is None:
        yield NOTE + "no buildx, so a slower builder: apt install docker-buildx-plugin (Debian: docker-buildx)"
    if says(docker, "compose", "version") is None and not which("docker-compose"):
        yield NOTE + "no Compose, which `make up` needs: apt install docker-compose-plugin (Debian: docker-compose)"
    root = says(docker, "info", "--format", "{{.DockerRootDir}}") or ""
    if os.path.isdir(root) and (free := disk_usage(root).free) < 3 * GB:
        yield f"only {free / GB:.1f} GB are free in Docker's folder: docker system prune, or free 3 GB there"


def ship() -> Iterator[str]:
    if not which("ssh"):
        yield "no ssh here: apt install openssh-client"
    elif says(["ssh-add"], "-l") is None:
        yield (
            NOTE + "no ssh-agent with a key; a key with a passphrase needs it: "
            'eval "$(ssh-agent)" && ssh-add (ssh-keygen makes a key)'
        )


if __name__ == "__main__":
    sys.exit(main(dict(os.environ)))
