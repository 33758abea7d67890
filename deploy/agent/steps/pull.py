"""The image comes, and the idle slot is told what it will run."""

from __future__ import annotations

import os

from .. import facts, images, slots
from ..answers import Image
from ..attempt import Attempt, settings
from ..host import Host, Problem
from ..shapes import Say

ROOM = 2**30  # bytes; where fewer are free, old images go before a new one comes


def pull(host: Host, attempt: Attempt, say: Say, image: str, credentials: str = "", reference: str = "") -> Image:
    """The image is here, and the slot knows what it will run. What the image is, for the deployer to judge."""
    known = attempt.noted.get("image_id", "")
    there = images.about(host, known) if known and not attempt.noted["warm"] else None
    found: Image | None = {"image_id": known, "digests": []} if attempt.noted["warm"] else there
    if found:
        found["digests"] = sorted({*found["digests"], *filter(None, [attempt.noted.get("digest")])})
    else:
        found = fetched(host, attempt, image, credentials, reference)
    if not attempt.noted["warm"]:
        pin(host, attempt, say, found["image_id"])
    return {**found, "architecture": os.uname().machine}


def fetched(host: Host, attempt: Attempt, image: str, credentials: str, reference: str) -> Image:
    """Have the image come, and find room for it; what is known of it."""
    root = facts.engine(host).get("root", "/")
    if facts.free(root) < ROOM:
        images.prune(host, image)
    found = images.pull(host, image, attempt.noted["tag"], attempt.noted["digest"], credentials, reference)
    host.call("sync", "-f", root, timeout=600)  # it is on the disk before anything relies on it
    return found


def pin(host: Host, attempt: Attempt, say: Say, image_id: str) -> None:
    """The slot that begin has told to stop is empty, and will run this image with the release's settings."""
    if not slots.stopped(host, attempt.noted["slot"]):
        raise Problem("slot {1} does not stop: see systemctl status '{0}-*@{1}'".format(
            host.app, attempt.noted["slot"]))
    said = slots.empty(host, attempt.noted["slot"])
    if said:
        say({"event": "progress", "text": said})
    text, path = settings(host, attempt)
    attempt.note(image_id=image_id, settings_from=path)
    slots.pin(host, attempt.noted["slot"], attempt.release(), text)
