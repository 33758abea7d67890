"""The steps of the commit: prepare, promise, commit."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from typing import TypedDict

from slipway import envfile

from .. import disk, releases, slots
from ..attempt import Attempt
from ..host import Host, Problem
from ..message_types import Noted, Record, Release, Say, SettingName
from .step import step
from .watcher import Watched


class Committed(TypedDict):
    """What a commit leaves behind."""

    seen: Watched | None  # None: nobody watched, as in a rollback, or it is unknown


class Prepared(TypedDict):
    """The changes that a commit will make to the settings."""

    changed: list[SettingName]  # the settings that differ after a rollback
    kept: str  # NAME in APP.env.NAME.kept, the file that keeps the replaced settings; "" if no settings were replaced


def drop_prepared(host: Host, attempt: Noted | None = None) -> None:
    """Remove the files PATH.next that `prepare` wrote, even unfinished ones."""
    kept = {name for end in (".next", ".next.new") for name in host.kept_envs(end)}
    for path in (host.tag, host.revert, host.log, host.revert_env, host.next_env, *map(host.kept_env, kept)):
        disk.remove(path + ".next", path + ".next.new")


@step(120, undo=drop_prepared, takeback="remove the prepared files")
def prepare(host: Host, attempt: Attempt, say: Say) -> Prepared:
    """Phase one of the commit: write new files as PATH.next. Return which settings a rollback changes, if any."""
    current = releases.read_tag(host.tag)
    kept, answer = replaced_settings(host, attempt, current)
    texts, removes = ({}, []) if attempt.noted["action"] == "restart" else new_files(host, attempt, current)
    texts = {**kept, **texts, **carried_settings(host, attempt)}
    renames = [[path + ".next", path] for path in texts]
    source = attempt.noted.get("settings_from")
    if source and source != host.env:
        renames.append([source, host.env])
    entry = record(attempt.noted, "committed")
    if left_by_rollback(attempt, current):
        entry["withdrawn"] = left_by_rollback(attempt, current)
    if current and (names := changed_settings(host, attempt.noted)):
        entry["settings"] = ", ".join(names)
    texts[host.log] = releases.append_record(releases.log_text(host), entry)
    renames.append([host.log + ".next", host.log])
    for path, text in texts.items():
        disk.write(path + ".next", text, 0o644 if path in (host.tag, host.revert, host.log) else 0o600)
    attempt.note(renames=renames, removes=removes)
    disk.write(host.attempt + ".back", releases.attempt_text(attempt.noted), 0o600)
    return answer


def new_files(host: Host, attempt: Attempt, current: Release | None) -> tuple[dict[str, str], list[str]]:
    """Return (path → new text, paths to remove) for the files TAG, REVERT and APP.env.revert."""
    tag = attempt.noted["tag"]
    records = releases.read_log(host)[0]
    before = releases.read_tag(host.revert)
    texts = {host.tag: releases.tag_text(attempt.release())}
    removes = []
    revert = releases.revert_for(records, current, tag, left_by_rollback(attempt, current))
    if not revert or (before and before["tag"] == tag):
        removes.append(host.revert)
    if revert:
        texts[host.revert] = releases.tag_text(revert)
    settings = disk.read_exact(host.env)
    if attempt.noted["action"] == "deploy" and current and settings is not None:
        texts[host.revert_env] = settings
    return texts, removes


def replaced_settings(host: Host, attempt: Attempt, current: Release | None) -> tuple[dict[str, str], Prepared]:
    """Return ({path: old settings}, `prepare`'s answer) if a rollback changes settings."""
    old = disk.read_bytes(host.env)
    new = disk.read_bytes(host.revert_env)
    if attempt.noted.get("settings_from") != host.revert_env or old is None or new is None or old == new:
        return {}, {"changed": [], "kept": ""}
    tag = current["tag"] if current else "none"
    names = itertools.chain([tag], (f"{tag}.{number}" for number in itertools.count(2)))
    name = next(name for name in names if not os.path.exists(host.kept_env(name)))
    kept = {host.kept_env(name): old.decode(errors="surrogateescape")}
    return kept, {"changed": differing_names(old, new), "kept": name}


def changed_settings(host: Host, attempt: Noted) -> list[str]:
    """Return the names of the settings in which the new slot differs from the old one, which has none after a boot."""
    old, new = (disk.read_bytes(host.slot_file(slot, "env")) for slot in (attempt["live"], attempt["slot"]))
    return differing_names(old or disk.read_bytes(host.env) or b"", new or b"")


def differing_names(old: bytes, new: bytes) -> list[str]:
    """Return the names of the settings that differ."""
    values, unset = envfile.difference(*(envfile.read(content, "")[0] for content in (old, new)))
    return sorted({*values, *unset})


def carried_settings(host: Host, attempt: Attempt) -> dict[str, str]:
    """Return {path: new text} of one settings file, or {}. A restart also changes APP.env.revert, so that a later
    rollback keeps the changes. In a rollback, APP.env.next becomes the restored settings plus the staged changes."""
    reverted = disk.read_bytes(host.revert_env)
    old = disk.read_bytes(host.env)
    noted = attempt.noted
    if noted["action"] == "restart":  # compare the two slots' settings: APP.env may have been edited by hand
        path = host.revert_env
        old = disk.read_bytes(host.slot_file(noted["live"], "env")) or old
        new = disk.read_bytes(host.slot_file(noted["slot"], "env"))
    elif noted.get("settings_from") == host.revert_env:
        path = host.next_env
        new = disk.read_bytes(host.next_env)
    else:
        return {}
    if reverted is None or old is None or new is None:
        return {}
    read = [envfile.read(content, "") for content in (reverted, old, new)]
    if any(problems for _, problems in read):
        return {}
    return {path: envfile.changed(reverted.decode(), *envfile.difference(read[1][0], read[2][0]))}


def left_by_rollback(attempt: Attempt, current: Release | None) -> str:
    leaves = attempt.noted["action"] == "rollback" and current and current["tag"] != attempt.noted["tag"]
    return current["tag"] if current and leaves else ""


@step(60, undo=drop_prepared, takeback="the same, unless a host has committed")
def promise(host: Host, attempt: Attempt, say: Say) -> None:
    """Promise to commit. A host that loses the deployer commits if it has promised, else goes back."""
    if not attempt.noted.get("renames"):
        raise Problem("this host cannot promise to commit: the step prepare has not run")
    attempt.note(promised=True)


def withdraw_promise(host: Host) -> None:
    """Withdraw the promise by a rename, which works even on a full disk."""
    with contextlib.suppress(FileNotFoundError):
        disk.move(host.attempt + ".back", host.attempt)


@step(240, undo=None, takeback="none: from here a deploy only goes forward")
def commit(host: Host, attempt: Attempt, say: Say) -> Committed:
    """Phase two of the commit: rename the files of phase one. The old web keeps running, with its connections. Return
    what visitors have met until now, as other hosts may have been watched longer than this one."""
    attempt.over.set()
    if attempt.sick and not attempt.noted.get("promised"):
        raise Problem(f"this host did not promise to commit, and sent visitors to the old release: {attempt.sick}")
    finish(host, attempt.noted, say)
    return {"seen": seen(attempt)}


def seen(attempt: Attempt) -> Watched | None:
    """Return None, too, if nginx's log cannot be read: the release is live, and that is no reason to call it failed."""
    with contextlib.suppress(Problem, OSError):
        return attempt.seen() if attempt.seen else None
    return None


def finish(host: Host, attempt: Noted, say: Say) -> None:
    """Do the renames and removals that `prepare` noted; remove the attempt file. A second run does no harm."""
    if os.path.exists(host.tag + ".next"):  # REVERT must never name TAG's release, so remove REVERT first
        disk.remove(*attempt["removes"])
    for path, to in attempt["renames"]:
        if os.path.exists(path):
            os.rename(path, to)
    for folder in sorted({os.path.dirname(path) for path in [*(to for _, to in attempt["renames"]), host.env]}):
        disk.sync(folder)
    with contextlib.suppress(Problem):  # /run is full, for example: the old release stays warm until the next deploy
        slots.retire_later(host, attempt["live"], attempt)
    drop_ways_back(host)
    disk.remove(*host.attempt_files)
    say({"event": "committed"})


def note_commit(host: Host) -> None:
    """Add a commit to releases.log if a power cut came between the renames of TAG and releases.log.
    Skip a restart: TAG stays the same, so TAG does not prove that the restart was committed."""
    records = releases.parse_log(disk.read_exact(host.log + ".next", releases.LONGEST) or "")[0][-1:]
    if records and records[0]["action"] != "restart" and not os.path.exists(host.tag + ".next"):
        named: Release = {"tag": records[0]["tag"], "image_id": records[0]["image_id"]}
        if named == releases.read_tag(host.tag) and records[0] not in releases.read_log(host)[0]:
            releases.append(host, records[0])


def drop_ways_back(host: Host, processes: bool = True) -> None:
    """Remove .back files, which only a takeback needs. `processes`: False to keep files of roles without a slot."""
    alone = [path for role in host.alone() for path in slots.release_files(host, role)]
    paths = [host.web_sock, host.attempt, *(alone if processes else ())]
    disk.remove(*(path + ".back" for path in paths), host.attempt + ".back.new")


def record(attempt: Noted, outcome: str) -> Record:
    entry: Record = {
        "id": attempt.get("id"),
        "action": attempt["action"],
        "tag": attempt["tag"],
        "image_id": attempt.get("image_id", ""),
        "digest": attempt.get("digest"),
        "who": attempt.get("who"),
        "at": round(time.time(), 1),
        "seconds": round(time.monotonic() - attempt["started"], 1),
        "outcome": outcome,
    }
    if attempt.get("key"):
        entry["key"] = f"SHA256:{attempt['key']}"
    if attempt.get("revision"):
        entry["revision"] = attempt["revision"]
    if attempt.get("migrations"):
        entry["migrations"] = attempt["migrations"]
    if attempt.get("allow_incompatible"):
        entry["allow_incompatible"] = True
    return entry
