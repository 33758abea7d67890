"""What the hosts have pulled: is it one image on all of them, the one that was meant, and built from which commit."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import process
from .errors import HostProblem, Refused, on_hosts
from .plan import Target
from .shapes import Pulled, Tell

CHECKOUT = Path(__file__).resolve().parent.parent
DIRTY = ("{} has what no commit holds, so nobody could build it again: commit, make build, make push; or take the risk"
         " with --allow-dirty")


async def check(answers: Mapping[tuple[str, str], Any], target: Target, allow_dirty: bool, tell: Tell,
                checkout: Path = CHECKOUT) -> None:
    """Look at the answers to a group of steps, once the image is on all hosts. Raises Refused when it must not start;
    tells what a user should know of it."""
    pulled = {host: answer for (step, host), answer in answers.items() if step == "pull"}
    found = problems(pulled, target, allow_dirty)
    if found:
        raise Refused(on_hosts(found))
    revision = next((answer.get("revision", "") for answer in pulled.values()), "").removesuffix("-dirty")
    known = target.action != "rollback" and re.fullmatch("[0-9a-f]{40,64}", revision)
    if known and await unpushed(revision, checkout):
        tell({"event": "source", "text": f"{target.tag} was built from {revision[:12]}, which is on no branch of a"
                                         " remote as this checkout knows it"})


def problems(pulled: Mapping[str, Pulled], target: Target, allow_dirty: bool = False) -> dict[str, list[str]]:
    """host name → why what it has pulled must not start there. Pure."""
    firsts: dict[str | None, tuple[str, Pulled]] = {}
    for name in sorted(pulled):
        firsts.setdefault(pulled[name].get("architecture"), (name, pulled[name]))
    found = {name: [*of_answer(answer, target, allow_dirty),
                    *unlike(answer, target, *firsts[answer.get("architecture")])] for name, answer in pulled.items()}
    return {name: texts for name, texts in found.items() if texts}


def of_answer(answer: Pulled, target: Target, allow_dirty: bool) -> Iterator[str]:
    """What is wrong with what one host has pulled, for itself. What was committed may always be gone back to."""
    if target.action == "rollback":
        return
    if answer.get("revision", "").endswith("-dirty") and not allow_dirty:
        yield DIRTY.format(target.tag)
    if answer.get("others"):
        yield (f"{target.tag} was {', '.join(answer['others'])} and is now {answer['image_id']}: a tag must not be used"
               " again, build under another one")
    if target.digest and answer.get("digests") and target.digest not in answer["digests"]:
        yield (f"{target.tag} is {', '.join(answer['digests'])} there, and {target.digest} was meant: look where the"
               " host pulls from")


def unlike(answer: Pulled, target: Target, first: str, model: Pulled) -> Iterator[str]:
    """Whether a host has another image than the first of its architecture."""
    if answer["image_id"] != model["image_id"] and not {*answer.get("digests", ())} & {*model.get("digests", ())}:
        yield (f"{target.tag} is {answer['image_id']} there, and {model['image_id']} on {first}: bring a release"
               " that is one image everywhere")


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
