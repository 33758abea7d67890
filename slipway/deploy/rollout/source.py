"""What the hosts have pulled: is it one image on all of them, the one that was meant, and built from which commit."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import HostProblem, Refused, on_hosts
from ..ssh import process
from ..ssh.validate import Tell
from . import images
from .plan import Target

CHECKOUT = Path(__file__).resolve().parents[3]


async def check(answers: Mapping[tuple[str, str], Any], target: Target, allow_dirty: bool, tell: Tell,
                checkout: Path = CHECKOUT) -> None:
    """Look at the answers to a group of steps, once the image is on all hosts. Raises Refused when it must not start;
    tells what a user should know of it."""
    pulled = {host: answer for (step, host), answer in answers.items() if step == "pull"}
    found = images.problems(pulled, target, allow_dirty)
    if found:
        raise Refused(on_hosts(found))
    revision = next((answer.get("revision", "") for answer in pulled.values()), "").removesuffix("-dirty")
    known = target.action != "rollback" and re.fullmatch("[0-9a-f]{40,64}", revision)
    if known and await unpushed(revision, checkout):
        tell({"event": "source", "text": f"{target.tag} was built from {revision[:12]}, which is on no branch of a"
                                         " remote as this checkout knows it"})


async def unpushed(revision: str, checkout: Path) -> bool:
    """Whether a commit that this checkout has is in no branch of any remote."""
    git = ["git", "-C", str(checkout)]
    remotes = await said([*git, "for-each-ref", "--count=1", "refs/remotes"])
    return bool(remotes and await said([*git, "rev-list", "--max-count=1", revision, "--not", "--remotes"]))


async def said(command: list[str]) -> str:
    """What a command prints; nothing where it fails or is not there."""
    try:
        done = await process.run(command)
    except (OSError, HostProblem):
        return ""
    return done.out.decode(errors="replace").strip() if done.code == 0 else ""
