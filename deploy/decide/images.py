"""What the hosts have pulled: is it one image on all of them, and the one that was meant. Pure."""

from collections.abc import Iterator, Mapping

from ..agent.answers import Image
from .plan import Target

DIRTY = ("{} has what no commit holds, so nobody could build it again: commit, make build, make push; or take the risk"
         " with --allow-dirty")


def problems(pulled: Mapping[str, Image], target: Target, allow_dirty: bool = False) -> dict[str, list[str]]:
    """host name → why what it has pulled must not start there. Pure."""
    firsts: dict[str | None, tuple[str, Image]] = {}
    for name in sorted(pulled):
        firsts.setdefault(pulled[name].get("architecture"), (name, pulled[name]))
    found = {name: [*of_answer(answer, target, allow_dirty),
                    *unlike(answer, target, *firsts[answer.get("architecture")])] for name, answer in pulled.items()}
    return {name: texts for name, texts in found.items() if texts}


def of_answer(answer: Image, target: Target, allow_dirty: bool) -> Iterator[str]:
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


def unlike(answer: Image, target: Target, first: str, model: Image) -> Iterator[str]:
    """Whether a host has another image than the first of its architecture."""
    if answer["image_id"] != model["image_id"] and not {*answer.get("digests", ())} & {*model.get("digests", ())}:
        yield (f"{target.tag} is {answer['image_id']} there, and {model['image_id']} on {first}: bring a release"
               " that is one image everywhere")
