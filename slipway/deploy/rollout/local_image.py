"""Finds out what this machine's Docker knows of a release's image, which hosts would know only after their pull."""

import json
import subprocess
from dataclasses import dataclass
from typing import Any

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
    """Return the image of this name. Return None if this machine does not have it, or no Docker that answers."""
    words = ["docker", "image", "inspect", name]
    try:
        done = subprocess.run(words, capture_output=True, timeout=SECONDS, check=False)
        return parse(json.loads(done.stdout)[0]) if done.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, ValueError, LookupError, AttributeError, TypeError):
        return None


def parse(inspected: Any) -> LocalImage:
    digests = frozenset(name.partition("@")[2] for name in inspected.get("RepoDigests") or ())
    labels = (inspected.get("Config") or {}).get("Labels") or {}
    id = str(inspected["Id"])  # containerd's store has the manifest's digest here
    return LocalImage(
        "" if id in digests else id, digests, str(labels.get(REVISION, "")), str(inspected.get("Architecture", ""))
    )
