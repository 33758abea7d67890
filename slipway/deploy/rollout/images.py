"""Checks images before and after their pull. Does no I/O."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..agent.images import Image
from ..config import Fleet
from ..errors import Refused, on_hosts
from .local_image import LocalImage
from .plan import Target
from .preflight import AllFacts

DIRTY = (
    "{} was built with uncommitted changes, so nobody could build it again: commit, make build, make push; or take"
    " the risk with --allow-dirty"
)

REUSED = "tag {} was image {} before and is {} now: build again under a new tag"

MISPLACED = (
    "media in the servers' file is {}, but this release stores uploads as {}: set STORAGE_URL, or media"
    ' ("none": no uploads), see docs/files.md'
)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}  # uname's name → Docker's


def dirt_problem(tag: str, image: LocalImage | None, allow_dirty: bool) -> str:
    """Return why the release must not start, by its image on this machine; "" if no reason is known."""
    is_dirty = image is not None and image.revision.endswith("-dirty")
    return DIRTY.format(tag) if is_dirty and not allow_dirty else ""


def reuse_problems(tag: str, digest: str, image: LocalImage | None, facts: AllFacts) -> dict[str, list[str]]:
    """Return what a pull would find, by this machine's `image`: host name → that it had other images of this tag."""
    if not (image and image.id):
        return {}
    others = {
        name: {
            record["image_id"]
            for record in host["history"]
            if record["tag"] == tag and record["image_id"] not in ("", image.id) and record.get("digest") != digest
        }
        for name, host in facts.items()
    }
    return {name: [REUSED.format(tag, ", ".join(sorted(ids)), image.id)] for name, ids in others.items() if ids}


def architecture_problem(image: str, architectures: Iterable[str], machines: Iterable[str]) -> str:
    """Return why an image cannot run on all `machines` (as `uname -m` names them), or "" if no reason is known."""
    known = [*filter(None, architectures)]
    for name in sorted(ARCHITECTURES.get(machine, machine) for machine in machines):
        if known and name not in known:
            return f"image {image} is not for {name}: build it with PLATFORM=linux/{name}"
    return ""


def check(answers: Mapping[tuple[str, str], Any], target: Target, allow_dirty: bool) -> None:
    """Raise Refused if a pulled image must not start. `allow_dirty`: an image of uncommitted code may start."""
    if refused := on_hosts(
        {host: problems(answer, target, allow_dirty) for (step, host), answer in answers.items() if step == "pull"}
    ):
        raise Refused(refused)


def problems(answer: Image, target: Target, allow_dirty: bool) -> Iterator[str]:
    if target.action == "rollback":
        return
    if answer.get("revision", "").endswith("-dirty") and not allow_dirty:
        yield DIRTY.format(target.tag)
    if answer.get("others"):
        yield REUSED.format(target.tag, ", ".join(answer["others"]), answer["image_id"])


def upload_warnings(answers: Mapping[tuple[str, str], Any], fleet: Fleet) -> list[str]:
    """Return a warning if the new release stores uploads in another place than `media` of production.toml."""
    expected = "none" if fleet.by_variables else fleet.media
    places = {answer.get("media") for (step, _), answer in answers.items() if step == "verdicts"} - {None, "", expected}
    return [MISPLACED.format(expected, place) for place in places if expected != "none"]
