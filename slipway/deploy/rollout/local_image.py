"""Finds out what this machine's Docker knows of a release's image, which hosts would know only after their pull."""

import json
import subprocess
from dataclasses import dataclass
from typing import Any

from ..agent.host import lines_of
from ..agent.images import REVISION

SECONDS = 20  # to wait for Docker


@dataclass(frozen=True)
class LocalImage:
    """An image on this machine. `digests`: by which registries gave or got it; `revision`: the commit it is of.
    `id`: by which hosts know it, too; "" if not, as Docker stores it in another way than theirs may."""

    id: str
    digests: frozenset[str]
    revision: str
    architecture: str


def local_image(name: str) -> LocalImage | None:
    """Return the image of this name, or with this id. Return None if this machine does not have it."""
    try:
        return parse(json.loads(docker("image", "inspect", name))[0])
    except (ValueError, LookupError, AttributeError, TypeError):
        return None


def image_of_digest(digest: str) -> LocalImage | None:
    """Return the image with this digest, by whatever name it was pushed. Return None if this machine lacks it."""
    listed = docker("image", "ls", "--no-trunc", "--digests", "--format", "{{.Digest}} {{.ID}}")
    ids = [id for line in lines_of(listed) for known, _, id in [line.partition(" ")] if known == digest]
    return local_image(ids[0]) if ids else None


def docker(*words: str) -> str:
    """Return what Docker prints; "" if it fails, or is not on this machine."""
    try:
        done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def parse(inspected: Any) -> LocalImage:
    digests = frozenset(name.partition("@")[2] for name in inspected.get("RepoDigests") or ())
    labels = (inspected.get("Config") or {}).get("Labels") or {}
    id = str(inspected["Id"])  # containerd's store has the manifest's digest here
    return LocalImage(
        "" if id in digests else id, digests, str(labels.get(REVISION, "")), str(inspected.get("Architecture", ""))
    )
