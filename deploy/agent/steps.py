"""What a deploy does on a host, step by step. Each step may be done twice. What undoes one stands beside it;
takeback.py undoes them all.

A step takes the host, the attempt as it is so far (its updates are on disk before what they tell of), its arguments,
and returns what the deployer should know. What goes wrong is a Problem.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from . import disk, facts, images, releases, slots, takeback
from .answers import Begun, Image, Pruned
from .attempt import Attempt, settings
from .commit import commit, drop_prepared, drop_ways_back, prepare, promise
from .host import Host, Problem
from .oneoffs import migrate
from .proof import ready, start
from .shapes import Noted, Say, Unpack
from .static import publish
from .turn import beat, flip, pause, watch
from .verdicts import verdicts

ROOM = 2**30  # bytes; where fewer are free, old images go before a new one comes


def begin(host: Host, attempt: Attempt, say: Say, **values: Unpack[Noted]) -> Begun:
    """Settle what a dead deploy has left, and begin to empty the idle slot, unless it holds what a rollback wants."""
    values.update(settle(host, say))
    live = slots.live(host)
    idle = slots.other(live)
    attempt.noted.update({**values, "live": live, "slot": idle, "began": time.time(), "renames": [], "removes": []})
    current = releases.read_tag(host.tag)
    if attempt.noted["action"] == "deploy" and current and current["tag"] == attempt.noted["tag"]:
        attempt.noted["action"] = "restart"  # here alone: other hosts are on another release
    attempt.note(warm=is_warm(host, attempt, idle))
    if attempt.noted["warm"]:
        attempt.note(settings_from=settings(host, attempt)[1])
        slots.keep(host)
        return {"warm": True}
    if slots.running(host, *slots.units(host, idle)):
        say({"event": "progress", "text": "ending the release before the last in slot %s" % idle})
    slots.keep(host)
    slots.begin_stop(host, idle)
    return {"warm": False}


def settle(host: Host, say: Say) -> Noted:
    """Settle it; the way back of a beat that could not be brought back, for the new attempt to keep."""
    takeback.settle(host, say)
    left = releases.read_attempt(host) or {}
    if left and slots.live(host) != left["live"]:
        raise Problem("visitors do not come back to slot %s: see what keeps %s" % (left["live"], host.web_sock))
    drop_prepared(host)
    drop_ways_back(host, beat="beat_before" not in left)
    return {"beat_before": left["beat_before"]} if "beat_before" in left else {}


def is_warm(host: Host, attempt: Attempt, slot: str) -> bool:
    """Whether the slot still runs what a rollback goes to, with the settings it had."""
    release = {"tag": attempt.noted["tag"], "image_id": attempt.noted.get("image_id")}
    if attempt.noted["action"] != "rollback" or slots.release_in(host, slot) != release:
        return False
    if (disk.read_exact(host.slot_file(slot, "env")) or "") != (settings(host, attempt)[0] or ""):
        return False
    return len(slots.running(host, *slots.units(host, slot))) == len(slots.units(host, slot))


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


def prune(host: Host, attempt: Attempt, say: Say, image: str) -> Pruned:
    """Remove images and secrets that nothing needs."""
    return {"removed": [*images.prune(host, image), *drop_secrets(host)]}


def drop_secrets(host: Host) -> list[str]:
    """Remove the files of APP.secrets that no settings name any more; their names. Each has one of its own."""
    settings = [host.env, host.env + ".next", host.env + ".revert"]
    settings += [host.slot_file(slot, "env") for slot in ("a", "b", "beat")]
    named = "".join(disk.read(path) or "" for path in settings)
    folder = host.etc + ".secrets"
    old = [name for name in sorted(os.listdir(folder) if os.path.isdir(folder) else ()) if name not in named]
    disk.remove(*("%s/%s" % (folder, name) for name in old))
    return old


STEPS: dict[str, Callable[..., object]] = {step.__name__: step for step in (
    begin, pull, verdicts, publish, migrate, start, ready, pause, flip, watch, beat, prepare, promise, commit, prune)}
