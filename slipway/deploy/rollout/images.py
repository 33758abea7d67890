"""Whether hosts have pulled the image that was meant. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..agent.answers import Image, Resolved
from ..errors import Refused, on_hosts
from .plan import Target

DIRTY = ("{} has what no commit holds, so nobody could build it again: commit, make build, make push; or take the risk"
         " with --allow-dirty")

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}  # uname's word → Docker's


def foreign(image: str, found: Resolved, machines: Iterable[str]) -> str:
    """Why an image does not run on all hosts, which are such machines; "" where it does, or where nobody can tell."""
    for name in sorted(ARCHITECTURES.get(machine, machine) for machine in machines):
        if found["architectures"] and name not in found["architectures"]:
            return f"image {image} is for another architecture than {name}: build it with PLATFORM=linux/{name}"
    return ""


def check(answers: Mapping[tuple[str, str], Any], target: Target, allow_dirty: bool) -> None:
    """Raise Refused when an image must not start. `answers`: (step, host) → answer, of which those to `pull` count."""
    found = problems({host: answer for (step, host), answer in answers.items() if step == "pull"}, target, allow_dirty)
    if found:
        raise Refused(on_hosts(found))


def problems(pulled: Mapping[str, Image], target: Target, allow_dirty: bool = False) -> dict[str, list[str]]:
    """host name → why the image that it has pulled must not start; hosts without a problem are left out."""
    found = {name: [*answer_problems(answer, target, allow_dirty)] for name, answer in pulled.items()}
    return {name: texts for name, texts in found.items() if texts}


def answer_problems(answer: Image, target: Target, allow_dirty: bool) -> Iterator[str]:
    """What is wrong with the image of one host, for itself. A rollback may use any: it was committed once."""
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
