"""What an image was built from, as far as this machine knows: its revision label, and git."""

import subprocess
from pathlib import Path

from .errors import Refused

CHECKOUT = Path(__file__).resolve().parent.parent
LABEL = "org.opencontainers.image.revision"


def check(image, tag, checkout=CHECKOUT, docker="docker"):
    """What a user should know of a release that was built here, in a line; empty where there is nothing to say.

    Raises Refused for an image that no commit holds. An image that is not here was built elsewhere: nothing is said.
    """
    name = f"{image}:{tag}"
    revision = said([docker, "image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', name])
    if revision.endswith("-dirty") or tag.endswith("-dirty"):
        raise Refused(f"{name} has what no commit holds, so nobody could build it again: commit, make build, make push")
    if revision and unpushed(revision, checkout):
        return f"{name} was built from {revision[:12]}, which is on no branch of a remote as this checkout knows it"
    return ""


def unpushed(revision, checkout):
    """Whether a commit that this checkout has is in no branch of any remote."""
    git = ["git", "-C", str(checkout)]
    remotes = said([*git, "for-each-ref", "--count=1", "refs/remotes"])
    return bool(remotes and said([*git, "rev-list", "--max-count=1", revision, "--not", "--remotes"]))


def said(command):
    """What a command prints; nothing where it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
