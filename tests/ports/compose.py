"""What `make up` needs beside the project, where this machine can pull nothing."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from e2e.fleet.docker import build, docker

STAND_INS = {"postgres:17": "postgres", "redis:7": "redis"}  # the images that compose.yaml names


@contextlib.contextmanager
def images() -> Iterator[None]:
    """Those of compose.yaml are there; where they cannot be pulled, stand-ins of Debian's packages for the block."""
    made = []
    for image, target in STAND_INS.items():
        if docker("image", "inspect", image, check=False).returncode and \
                docker("pull", "--quiet", image, check=False, timeout=600).returncode:
            docker("tag", build(Path(__file__).parent / "images", f"ports-{target}", target=target), image)
            made.append(image)
    try:
        yield
    finally:
        for image in made:
            docker("rmi", "--no-prune", image, check=False)


def forget(app: str) -> None:
    """The volumes of an earlier run of make up, whose passwords nobody has any more."""
    for project in (app, f"{app}-slipway"):
        label = f"label=com.docker.compose.project={project}"
        for volume in docker("volume", "ls", "--quiet", "--filter", label).stdout.split():
            docker("volume", "rm", volume)
