"""Pull the image, and write down what the idle slot will run."""

from __future__ import annotations

from .. import facts, images, slots
from ..answers import Image
from ..attempt import Attempt, settings
from ..host import Host, Problem
from ..shapes import Say

ROOM = 2**30  # bytes; where fewer are free, old images go before a new one comes


def pull(host: Host, attempt: Attempt, say: Say, image: str, credentials: str = "", reference: str = "") -> Image:
    """Pull the image, by `reference` if given, and pin it to the slot; what it is, for the deployer to judge."""
    found = known(host, attempt) or fetched(host, attempt, image, credentials, reference)
    if not attempt.noted["warm"]:
        pin(host, attempt, say, found["image_id"])
    return found


def known(host: Host, attempt: Attempt) -> Image | None:
    """Return a rollback's image by the records, if it is here; None for a deploy, as the engine tells digests."""
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
    """Wait until the idle slot has stopped, and pin image and settings to it. Raises Problem if it does not stop."""
    if not slots.stopped(host, attempt.noted["slot"]):
        raise Problem("slot {1} does not stop: see systemctl status '{0}-*@{1}'".format(
            host.app, attempt.noted["slot"]))
    warning = slots.empty(host, attempt.noted["slot"])
    if warning:
        say({"event": "progress", "text": warning})
    text, path = settings(host, attempt)
    attempt.note(image_id=image_id, settings_from=path)
    slots.pin(host, attempt.noted["slot"], attempt.release(), text)
