"""What a deploy does on a host, step by step. Each step may be done twice; takeback.py undoes them all.

A step takes the host, the attempt as it is so far (its updates are on disk before what they tell of), its arguments,
and returns what the deployer should know. What goes wrong is a Problem.
"""

import os
import time

from . import disk, facts, images, releases, slots, takeback
from .attempt import settings
from .fate import promise
from .host import Problem
from .oneoffs import migrate
from .proof import ready, start
from .static import publish
from .turn import beat, flip, pause, watch
from .verdicts import verdicts

ROOM = 2**30  # bytes; where fewer are free, old images go before a new one comes


def begin(host, attempt, say, **values):
    """Settle what a dead deploy has left, and begin to empty the idle slot, unless it holds what a rollback wants."""
    values.update(settle(host, say))
    live = slots.live(host)
    idle = slots.other(live)
    attempt.update(values, live=live, slot=idle, began=time.time(), renames=[], removes=[])
    current = releases.read_tag(host.tag)
    if attempt["action"] == "deploy" and current and current["tag"] == attempt["tag"]:
        attempt["action"] = "restart"  # here alone: other hosts are on another release
    attempt.note(warm=is_warm(host, attempt, idle))
    if attempt["warm"]:
        attempt.note(settings_from=settings(host, attempt)[1])
        slots.keep(host)
        return {"warm": True}
    if slots.running(host, *slots.units(host, idle)):
        say({"event": "progress", "text": "ending the release before the last in slot %s" % idle})
    slots.keep(host)
    slots.begin_stop(host, idle)
    return {"warm": False}


def settle(host, say):
    """Settle it; the way back of a beat that could not be brought back, for the new attempt to keep."""
    takeback.settle(host, say)
    left = releases.read_attempt(host) or {}
    if left and slots.live(host) != left["live"]:
        raise Problem("visitors do not come back to slot %s: see what keeps %s" % (left["live"], host.web_sock))
    takeback.drop_prepared(host)
    takeback.drop_ways_back(host, beat="beat_before" not in left)
    return {key: left[key] for key in ("beat_before",) if key in left}


def is_warm(host, attempt, slot):
    """Whether the slot still runs what a rollback goes to, with the settings it had."""
    release = {"tag": attempt["tag"], "image_id": attempt.get("image_id")}
    if attempt["action"] != "rollback" or slots.release_in(host, slot) != release:
        return False
    if (disk.read_exact(host.slot_file(slot, "env")) or "") != (settings(host, attempt)[0] or ""):
        return False
    return len(slots.running(host, *slots.units(host, slot))) == len(slots.units(host, slot))


def pull(host, attempt, say, image, credentials="", reference=""):
    """The image is here, and the slot knows what it will run. What the image is, for the deployer to judge."""
    known = attempt.get("image_id")
    found = {"image_id": known, "digests": []} if attempt["warm"] else known and images.about(host, known)
    if found:
        found["digests"] = sorted({*found["digests"], *filter(None, [attempt.get("digest")])})
    else:
        found = fetched(host, attempt, image, credentials, reference)
    if not attempt["warm"]:
        pin(host, attempt, say, found["image_id"])
    return dict(found, architecture=os.uname().machine)


def fetched(host, attempt, image, credentials, reference):
    """Have the image come, and find room for it; what is known of it."""
    root = facts.engine(host).get("root", "/")
    if facts.free(root) < ROOM:
        images.prune(host, image)
    found = images.pull(host, image, attempt["tag"], attempt["digest"], credentials, reference)
    host.call("sync", "-f", root, timeout=600)  # it is on the disk before anything relies on it
    return found


def pin(host, attempt, say, image_id):
    """The slot that begin has told to stop is empty, and will run this image with the release's settings."""
    if not slots.stopped(host, attempt["slot"]):
        raise Problem("slot {1} does not stop: see systemctl status '{0}-*@{1}'".format(host.app, attempt["slot"]))
    said = slots.empty(host, attempt["slot"])
    if said:
        say({"event": "progress", "text": said})
    text, path = settings(host, attempt)
    attempt.note(image_id=image_id, settings_from=path)
    slots.pin(host, attempt["slot"], attempt.release(), text)


def prepare(host, attempt, say):
    """The first half of a commit: all that is to be written lies beside its place. Not before it is promised does a
    host that hears no more commit it."""
    renames, removes = [], []
    current = releases.read_tag(host.tag)
    if attempt["action"] != "restart":
        write_next(host, attempt, current, renames, removes)
    if attempt.get("settings_from") and attempt["settings_from"] != host.env:
        renames.append([attempt["settings_from"], host.env])
    record = takeback.record(attempt, "committed")
    if attempt["action"] == "rollback" and current and current["tag"] != attempt["tag"]:
        record["withdrawn"] = current["tag"]
    disk.write(host.log + ".next", releases.with_record(releases.log_text(host), record))
    renames.append([host.log + ".next", host.log])
    attempt.note(renames=renames, removes=removes)
    disk.write(host.attempt + ".back", releases.attempt_text(attempt), 0o600)


def write_next(host, attempt, current, renames, removes):
    """TAG.next and REVERT.next, and the settings that a rollback brings back."""
    records = releases.read_log(host)[0]
    left = current["tag"] if current and attempt["action"] == "rollback" else ""
    left = "" if left == attempt["tag"] else left
    revert = releases.revert_for(records, current, attempt["tag"], left)
    disk.write(host.tag + ".next", releases.tag_text(attempt.release()))
    renames.append([host.tag + ".next", host.tag])
    before = releases.read_tag(host.revert)
    if not revert or before and before["tag"] == attempt["tag"]:
        removes.append(host.revert)
    if revert:
        disk.write(host.revert + ".next", releases.tag_text(revert))
        renames.append([host.revert + ".next", host.revert])
    old = disk.read_exact(host.env)
    if attempt["action"] == "deploy" and current and old is not None:
        disk.write(host.env + ".revert.next", old, 0o600)
        renames.append([host.env + ".revert.next", host.env + ".revert"])


def commit(host, attempt, say):
    """The second half. The old slot stays warm for a while."""
    if attempt.watcher:
        attempt.watcher.over.set()
    if attempt.sick and not attempt.get("prepared"):
        raise Problem("nothing was promised here: its visitors were taken back, as %s" % attempt.sick)
    takeback.commit(host, attempt, say)
    drained = slots.drain(host, attempt["live"])
    return {"seconds": round(time.time() - attempt["began"], 1), "drained": drained}


def prune(host, attempt, say, image):
    return {"removed": [*images.prune(host, image), *drop_secrets(host)]}


def drop_secrets(host):
    """Remove the files of APP.secrets that no settings name any more; their names. Each has one of its own."""
    settings = [host.env, host.env + ".next", host.env + ".revert"]
    settings += [host.slot_file(slot, "env") for slot in ("a", "b", "beat")]
    named = "".join(disk.read(path) or "" for path in settings)
    folder = host.etc + ".secrets"
    old = [name for name in sorted(os.listdir(folder) if os.path.isdir(folder) else ()) if name not in named]
    disk.remove(*("%s/%s" % (folder, name) for name in old))
    return old


STEPS = {step.__name__: step for step in (begin, pull, verdicts, publish, migrate, start, ready, pause, flip, watch,
                                          beat, prepare, promise, commit, prune)}
