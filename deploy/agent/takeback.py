"""Undoing an attempt, or finishing it, by what /run/APP/attempt says alone: whoever made it may be dead."""

from __future__ import annotations

import contextlib
import os
import time

from . import contents, disk, releases, slots
from .host import ROLES, Host, Problem
from .shapes import Noted, Record, Say

ATTEMPT = "docker-runner.attempt"  # the label of its one-offs
STOPPING = 60  # seconds that a takeback waits for what it stops; a worker may go on to end its task


def settle(host: Host, say: Say) -> None:
    """Bring the host to its old release or its new one, whole. Commit what was promised, take back all else."""
    with disk.locked(host.run):  # until here the deployer may have its say: see fate.py
        attempt = releases.read_attempt(host)
    if not attempt:
        disk.remove(host.attempt)
        return
    if attempt.get("prepared"):
        commit(host, attempt, say)
    else:
        take_back(host, attempt, say)


def take_back(host: Host, attempt: Noted, say: Say) -> None:
    """Visitors first. Each step may be done twice, and one that fails does not keep the others from being done."""
    problems = []
    for step in (flip_back, workers_back, remove_one_offs, beat_back, drop_prepared, empty_slot, note_failure):
        try:
            step(host, attempt)
            say({"event": "takeback", "step": step.__name__, "state": "done"})
        except (Problem, OSError) as error:
            # A host is whole without the record, and with files beside their place, which the next deploy drops.
            problems += [error] if step not in (note_failure, drop_prepared) else []
            say({"event": "takeback", "step": step.__name__, "state": "failed", "problem": str(error)})
    if not problems or not os.path.exists(host.run):
        drop_ways_back(host)
        disk.remove(host.attempt)


def flip_back(host: Host, attempt: Noted) -> None:
    """Visitors back to the slot that was live."""
    slots.flip_back(host, attempt["live"])


def workers_back(host: Host, attempt: Noted) -> None:
    """Old workers consume again; new ones stop taking tasks."""
    if host.has("worker"):
        slots.resume(host, attempt["live"])
        with contextlib.suppress(OSError):  # it is stopped anyway: with no room for the file, a bit later
            slots.pause(host, attempt["slot"])


def remove_one_offs(host: Host, attempt: Noted) -> None:
    """What this attempt has started, by its label: one of the same name may have been started by hand."""
    contents.sweep(host)
    if not attempt.get("one_offs"):  # an engine that is away then keeps no host from being whole
        return
    for _ in range(5):  # one may end, and be removed, at the same moment
        label = "label=%s=%s" % (ATTEMPT, attempt["id"])
        left = host.docker("ps", "-aq", "--filter", label).stdout.split()
        if not left:
            return
        host.docker("rm", "-f", *left, check=False)
    raise Problem("containers do not go: %s" % " ".join(left))


def beat_back(host: Host, attempt: Noted) -> None:
    """The old beat again, where it was stopped."""
    if "beat_before" not in attempt:
        return
    unit, before = host.unit("beat"), attempt["beat_before"]
    host.systemctl("stop", unit, timeout=90)
    slots.bring_back(host, "beat")
    tag, env = host.slot_file("beat", "tag"), host.slot_file("beat", "env")
    if not before:
        disk.remove(tag, env)
        return
    release = before["release"]  # none where it ran without being written down: then there is nothing to write
    if release and (releases.read_tag(tag), disk.read_exact(env)) != (release, before["settings"]):
        slots.pin(host, "beat", release, before["settings"])
    host.systemctl("start", unit, timeout=90)


def drop_prepared(host: Host, attempt: Noted | None = None) -> None:
    """What was written beside its place, wholly or in part."""
    for path in (host.tag + ".next", host.revert + ".next", host.log + ".next", host.env + ".revert.next"):
        disk.remove(path, path + ".new")


def drop_ways_back(host: Host, beat: bool = True) -> None:
    """What was made for going back, where nobody goes back any more; beat's too, or not."""
    paths = [host.web_sock, host.attempt, *([host.slot_file("beat", kind) for kind in ("tag", "env")] if beat else ())]
    disk.remove(*(path + ".back" for path in paths), host.attempt + ".back.new")


def unprepare(host: Host) -> None:
    """What was prepared will be taken back: by a rename, as there may be no room for another file."""
    with contextlib.suppress(FileNotFoundError):
        disk.move(host.attempt + ".back", host.attempt)


def empty_slot(host: Host, attempt: Noted) -> None:
    """What was started drains and stops; a slot that was warm before stays so, and retires in its time."""
    slot = attempt["slot"]
    if attempt.get("warm"):
        slots.retire_later(host, slot, attempt)
    else:
        slots.stop(host, slot, STOPPING)


def note_failure(host: Host, attempt: Noted) -> None:
    """A record of what had begun to change things here."""
    if attempt.get("changed"):
        failed = record(attempt, attempt.get("outcome", "taken back"))
        releases.append(host, {**failed, "cause": attempt.get("cause", "")})


def commit(host: Host, attempt: Noted, say: Say) -> None:
    """The second half of a commit: nothing but renames, all of which may be done twice."""
    if os.path.exists(host.tag + ".next"):  # REVERT is never the same as TAG, not for a moment
        disk.remove(*attempt["removes"])
    for path, to in attempt["renames"]:
        if os.path.exists(path):
            os.rename(path, to)
    for folder in sorted({os.path.dirname(path) for path in [*(to for _, to in attempt["renames"]), host.env]}):
        disk.sync_folder(folder)
    slots.retire_later(host, attempt["live"], attempt)
    drop_ways_back(host)
    disk.remove(host.attempt)
    say({"event": "committed"})


def record(attempt: Noted, outcome: str) -> Record:
    """What releases.log keeps of an attempt."""
    return {"id": attempt.get("id"), "action": attempt["action"], "tag": attempt["tag"],
            "image_id": attempt.get("image_id", ""), "digest": attempt.get("digest"), "who": attempt.get("who"),
            "began": attempt["began"], "at": round(time.time(), 1),
            "seconds": round(time.time() - attempt["began"], 1), "outcome": outcome,
            "roles": [role for role in ROLES if role in attempt.get("roles", ROLES)]}
