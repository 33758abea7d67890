"""Pull the image, and write down what the idle slot will run."""

from __future__ import annotations

from .. import facts, images, slots
from ..answers import Image
from ..attempt import Attempt, settings
from ..host import Host, Problem
from ..shapes import Say

ROOM = 2**30  # bytes; where fewer are free, old images go before a new one comes


def pull(host: Host, attempt: Attempt, say: Say, image: str, credentials: str = "", reference: str = "") -> Image:
    """Pull the image where it is not here, and pin it to the slot; what the image is, for the deployer to judge.
    `reference`: a name to pull it by instead of `image`."""
    found = known(host, attempt) or fetched(host, attempt, image, credentials, reference)
    if not attempt.noted["warm"]:
        pin(host, attempt, say, found["image_id"])
    return found


def known(host: Host, attempt: Attempt) -> Image | None:
    """What a rollback knows of its image by the records, if the image is here; a warm slot runs it. None for a deploy:
    of what is pulled the engine tells the digests."""
    image = attempt.noted.get("image_id", "")
    here = {"image_id": image, "digests": []} if attempt.noted["warm"] else image and images.about(host, image)
    digest = attempt.noted.get("digest")
    return {**here, "digests": sorted({*here["digests"], *([digest] if digest else [])})} if here else None


def fetched(host: Host, attempt: Attempt, image: str, credentials: str, reference: str) -> Image:
    """Pull the image, and make room for it first; what is known of it."""
    root, digest = facts.docker_info(host).get("root", "/"), attempt.noted["digest"]
    if facts.free(root) < ROOM and not images.about(host, "%s@%s" % (reference or image, digest)):
        images.prune(host, image)
    found = images.pull(host, image, attempt.noted["tag"], digest, credentials, reference)
    host.call("sync", "-f", root, timeout=600)  # it is on the disk before anything relies on it
    return found


def pin(host: Host, attempt: Attempt, say: Say, image_id: str) -> None:
    """Wait until the slot that `begin` stops is empty, and write down that it runs this image with the release's
    settings. Raises Problem where it does not stop."""
    if not slots.stopped(host, attempt.noted["slot"]):
        raise Problem("slot {1} does not stop: see systemctl status '{0}-*@{1}'".format(
            host.app, attempt.noted["slot"]))
    warning = slots.empty(host, attempt.noted["slot"])
    if warning:
        say({"event": "progress", "text": warning})
    text, path = settings(host, attempt)
    attempt.note(image_id=image_id, settings_from=path)
    slots.pin(host, attempt.noted["slot"], attempt.release(), text)
