"""The step that pulls the image and assigns it to the idle slot."""

from __future__ import annotations

import time

from .. import facts, images, slots
from ..attempt import Attempt, new_slot_settings
from ..host import Host, Problem
from ..images import Image
from ..message_types import Say
from ..progress import Pulled
from .step import step

ROOM = 2**30  # bytes; if fewer are free, old images are removed before a pull


@step(3600, undo=None, takeback="the image stays")
def pull(host: Host, attempt: Attempt, say: Say, image: str, credentials: str = "", reference: str = "") -> Image:
    """Pull the image, unless `image_of_rollback` has it. Assign it to the idle slot. `reference`: where from."""
    pulled = image_of_rollback(host, attempt) or fetch_image(host, attempt, say, image, credentials, reference)
    if not attempt.noted["warm"]:
        pin(host, attempt, say, pulled)
    return pulled


def image_of_rollback(host: Host, attempt: Attempt) -> Image | None:
    """Return the image to which a rollback goes. Return None for a deploy, or if the host lacks the image."""
    image = attempt.noted.get("image_id", "")
    if attempt.noted["warm"]:
        return {"image_id": image, "digests": []}
    return images.inspect(host, image) if image else None


def fetch_image(host: Host, attempt: Attempt, say: Say, image: str, credentials: str, reference: str) -> Image:
    root = facts.docker_info(host).get("root", "/")
    digest = attempt.noted["digest"]
    if facts.free_bytes(root) < ROOM and not images.inspect(host, f"{reference or image}@{digest}"):
        images.prune(host, image)
    pulled = images.pull(host, image, attempt.noted["tag"], digest, credentials, reference, Pulled(say).feed)
    say({"event": "waiting", "text": "writes the image to the disk"})
    host.call("sync", "-f", root, timeout=600)  # the image must be on disk before anything relies on it
    return pulled


def pin(host: Host, attempt: Attempt, say: Say, image: Image) -> None:
    """Wait until the idle slot has stopped, then assign image and settings to it. Raise Problem if it does not stop."""
    if not slots.await_stop(host, attempt.noted["slot"]):
        raise Problem(
            "slot {1} does not stop: see systemctl status '{0}-*@{1}'".format(host.app, attempt.noted["slot"])
        )
    containers = [host.container(role, attempt.noted["slot"]) for role in host.in_slots()]
    attempt.logs_since = dict.fromkeys(containers, time.monotonic())
    warning = slots.make_empty(host, attempt.noted["slot"])
    if warning:
        say({"event": "progress", "text": warning})
    text, path = new_slot_settings(host, attempt)
    attempt.note(image_id=image["image_id"], settings_from=path, revision=image.get("revision", ""))
    slots.pin(host, attempt.noted["slot"], attempt.release(), text)
