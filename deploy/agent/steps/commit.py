"""The commit in two halves, and what undoes the first."""

from __future__ import annotations

import contextlib
import os
import time

from .. import disk, releases, slots
from ..answers import Done
from ..attempt import Attempt
from ..host import ROLES, Host, Problem
from ..shapes import Noted, Record, Release, Say


def prepare(host: Host, attempt: Attempt, say: Say) -> None:
    """The first half of a commit: all that is to be written lies beside its place. Not before it is promised does a
    host that hears no more commit it."""
    renames: list[list[str]] = []
    removes: list[str] = []
    current = releases.read_tag(host.tag)
    if attempt.noted["action"] != "restart":
        write_next(host, attempt, current, renames, removes)
    source = attempt.noted.get("settings_from")
    if source and source != host.env:
        renames.append([source, host.env])
    found = record(attempt.noted, "committed")
    if attempt.noted["action"] == "rollback" and current and current["tag"] != attempt.noted["tag"]:
        found["withdrawn"] = current["tag"]
    disk.write(host.log + ".next", releases.with_record(releases.log_text(host), found))
    renames.append([host.log + ".next", host.log])
    attempt.note(renames=renames, removes=removes)
    disk.write(host.attempt + ".back", releases.attempt_text(attempt.noted), 0o600)


def write_next(host: Host, attempt: Attempt, current: Release | None, renames: list[list[str]],
               removes: list[str]) -> None:
    """TAG.next and REVERT.next, and the settings that a rollback brings back."""
    records = releases.read_log(host)[0]
    left = current["tag"] if current and attempt.noted["action"] == "rollback" else ""
    left = "" if left == attempt.noted["tag"] else left
    revert = releases.revert_for(records, current, attempt.noted["tag"], left)
    disk.write(host.tag + ".next", releases.tag_text(attempt.release()))
    renames.append([host.tag + ".next", host.tag])
    before = releases.read_tag(host.revert)
    if not revert or before and before["tag"] == attempt.noted["tag"]:
        removes.append(host.revert)
    if revert:
        disk.write(host.revert + ".next", releases.tag_text(revert))
        renames.append([host.revert + ".next", host.revert])
    old = disk.read_exact(host.env)
    if attempt.noted["action"] == "deploy" and current and old is not None:
        disk.write(host.env + ".revert.next", old, 0o600)
        renames.append([host.env + ".revert.next", host.env + ".revert"])


def drop_prepared(host: Host, attempt: Noted | None = None) -> None:
    """What was written beside its place, wholly or in part."""
    for path in (host.tag + ".next", host.revert + ".next", host.log + ".next", host.env + ".revert.next"):
        disk.remove(path, path + ".new")


def promise(host: Host, attempt: Attempt, say: Say) -> None:
    """All is prepared everywhere: from here on a host that hears no more commits by itself."""
    if not attempt.noted.get("renames"):
        raise Problem("nothing is prepared here that could be promised")
    attempt.note(prepared=True)


def unprepare(host: Host) -> None:
    """What was prepared will be taken back: by a rename, as there may be no room for another file."""
    with contextlib.suppress(FileNotFoundError):
        disk.move(host.attempt + ".back", host.attempt)


def commit(host: Host, attempt: Attempt, say: Say) -> Done:
    """The second half. The old slot stays warm for a while."""
    if attempt.watcher:
        attempt.watcher.over.set()
    if attempt.sick and not attempt.noted.get("prepared"):
        raise Problem("nothing was promised here: its visitors were taken back, as %s" % attempt.sick)
    finish(host, attempt.noted, say)
    drained = slots.drain(host, attempt.noted["live"])
    return {"seconds": round(time.time() - attempt.noted["began"], 1), "drained": drained}


def finish(host: Host, attempt: Noted, say: Say) -> None:
    """Nothing but renames, all of which may be done twice."""
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


def drop_ways_back(host: Host, beat: bool = True) -> None:
    """What was made for going back, where nobody goes back any more; beat's too, or not."""
    paths = [host.web_sock, host.attempt, *([host.slot_file("beat", kind) for kind in ("tag", "env")] if beat else ())]
    disk.remove(*(path + ".back" for path in paths), host.attempt + ".back.new")


def record(attempt: Noted, outcome: str) -> Record:
    """What releases.log keeps of an attempt."""
    return {"id": attempt.get("id"), "action": attempt["action"], "tag": attempt["tag"],
            "image_id": attempt.get("image_id", ""), "digest": attempt.get("digest"), "who": attempt.get("who"),
            "began": attempt["began"], "at": round(time.time(), 1),
            "seconds": round(time.time() - attempt["began"], 1), "outcome": outcome,
            "roles": [role for role in ROLES if role in attempt.get("roles", ROLES)]}
