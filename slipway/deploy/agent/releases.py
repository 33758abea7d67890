"""TAG, REVERT, releases.log and /run/APP/attempt: what they hold, and what follows from it."""

from __future__ import annotations

import json
import re
import shlex
import zlib

from . import disk
from .host import Host, Problem
from .shapes import Any, Noted, Record, Release, TypeGuard

VERSION = 1
NOTED = 2  # the version of attempts; before 2 they knew no process but beat
KEPT = 5000  # records of releases.log; a tag that one of them names may not be used for another image
LONGEST = 8 * 2**20  # bytes that are read of a log or an attempt, the last ones; a record has some 500
SHORT = 4096  # bytes that are read of a TAG, which has some 120
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
IMAGE_ID = re.compile(r"[A-Za-z0-9_.:-]{0,200}")
DIGEST = re.compile(r"(?:[a-z0-9+._-]{1,40}:[A-Za-z0-9=_-]{1,200})?")
WHOLE = ("tag", "image_id", "action", "outcome")  # every record has these, as text


class Malformed(Problem):
    """An attempt is not what a deploy writes down."""


def tag_text(release: Release) -> str:
    """The text of a TAG file."""
    return "export TAG=%s\nexport IMAGE_ID=%s\n" % (shlex.quote(release["tag"]), shlex.quote(release["image_id"]))


def parse_tag(text: str | None, path: str = "TAG") -> Release | None:
    """The release that a TAG file's text names; None without a text. Raises Problem where it names none."""
    if text is None:
        return None
    values = {}
    try:
        for line in text.splitlines():
            name, _, value = line.replace("export ", "", 1).strip().partition("=")
            values[name] = "".join(shlex.split(value)[:1])
    except ValueError:  # a quote without its other half
        values = {"TAG": " "}
    tag, image = values.get("TAG", ""), values.get("IMAGE_ID", "")
    if not (TAG.fullmatch(tag) and IMAGE_ID.fullmatch(image)):
        raise Problem("%s does not name a release as `export TAG=build-42` does: correct it" % path)
    return {"tag": tag, "image_id": image}


def read_tag(path: str) -> Release | None:
    """The release that a TAG file names; None where there is none. Raises Problem for a malformed one."""
    return parse_tag(disk.read_exact(path, SHORT), path)


def line(record: Record) -> str:
    """A record as a line of the log: JSON, whose last key is the CRC32 of all before it."""
    text = json.dumps(dict(record, version=VERSION))
    return '%s, "crc32": "%08x"}\n' % (text[:-1], zlib.crc32(text.encode()))


def parse_line(text: str) -> Record | None:
    """The record of a line, or None where it is torn. Raises Problem for a newer version."""
    head, found, _ = text.rpartition(', "crc32": "')
    record, crc = parse_object(text), text[len(head) + len(found):].rstrip().rstrip("}").strip('"')
    if record is None or not found or crc != "%08x" % zlib.crc32((head + "}").encode(errors="surrogateescape")):
        return None
    refuse_newer(record, "releases.log")
    return record if is_whole(record) else None


def parse_object(text: str) -> dict[str, Any] | None:
    """The JSON object that is all of the text, or None."""
    try:
        found = json.loads(text, parse_constant=int)  # NaN is no number, as int says
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_whole(record: dict[str, Any]) -> TypeGuard[Record]:
    """Whether a record has the keys that others rely on, and values as they can be."""
    texts = [record.get(key) for key in WHOLE] + [record.get(key) or "" for key in ("id", "who", "digest", "withdrawn")]
    times = [record.get(key, 0) for key in ("at", "seconds")]  # seconds, to the year 9999
    return all(type(text) is str for text in texts) and bool(
        TAG.fullmatch(texts[0]) and IMAGE_ID.fullmatch(texts[1]) and DIGEST.fullmatch(record.get("digest") or "")
    ) and all(type(one) in (int, float) and 0 <= one < 250e9 for one in times)


def refuse_newer(content: dict[str, Any], name: str, known: int = VERSION) -> None:
    """Raise Problem for what a newer deployer has written."""
    if type(content.get("version", 0)) is int and content.get("version", 0) > known:
        raise Problem("%s is of version %s, which only a newer deployer knows: use that one" % (
            name, content["version"]))


def parse_log(text: str) -> tuple[list[Record], int]:
    """(records, number of torn lines) of a text of releases.log."""
    lines = [text for text in text.split("\n") if text.strip()][-KEPT:]
    records = [parse_line(text) for text in lines]
    return [record for record in records if record], records.count(None)


def read_log(host: Host) -> tuple[list[Record], int]:
    """(records, number of torn lines) of this host's releases.log."""
    return parse_log(log_text(host))


def log_text(host: Host) -> str:
    """The text of releases.log, the end of it where it is too long."""
    return disk.read_exact(host.log, LONGEST) or ""


def committed(records: list[Record], current: Release | None) -> list[Release]:
    """Releases in the order they were committed, the newest last; `current`, of TAG, is one, recorded or not."""
    history: list[Release] = [{"tag": record["tag"], "image_id": record["image_id"]} for record in records
                              if record["outcome"] == "committed" and record["action"] != "restart"]
    if current and (not history or history[-1] != current):
        history.append(current)
    return history


def withdrawn(records: list[Record]) -> set[str]:
    """Tags of releases that were rolled back from, and not committed since."""
    tags = set()
    for record in records:
        if record["outcome"] == "committed":
            tags.discard(record["tag"])
            tags.update([record["withdrawn"]] if record.get("withdrawn") else [])
    return tags


def revert_for(records: list[Record], current: Release | None, tag: str, also_withdrawn: str = "") -> Release | None:
    """REVERT once `tag` is live: the newest committed release that is neither `tag` nor withdrawn."""
    out = withdrawn(records) - {tag} | ({also_withdrawn} if also_withdrawn else set())
    for release in reversed(committed(records, current)):
        if release["tag"] != tag and release["tag"] not in out:
            return release
    return None


def read_attempt(host: Host) -> Noted | None:
    """Return what a deploy has noted, or None. Raises Malformed, or Problem if a newer deployer wrote it."""
    text = disk.read_exact(host.attempt, LONGEST)
    if text is None:
        return None
    attempt = parse_object(text) or {}
    refuse_newer(attempt, host.attempt, NOTED)
    if not is_noted(attempt):
        raise Malformed("%s is not what a deploy writes down: see what runs there, and remove it" % host.attempt)
    return attempt


def is_noted(attempt: dict[str, Any]) -> TypeGuard[Noted]:
    """Whether an attempt has the keys that others rely on."""
    try:
        paths = [path for pair in (attempt.get("removes", []), *attempt.get("renames", [])) for path in pair]
    except TypeError:
        return False
    return (type(attempt.get("tag")) is str and [attempt.get("live"), attempt.get("slot")] in (["a", "b"], ["b", "a"])
            and all(type(path) is str for path in paths))


def save_attempt(host: Host, attempt: Noted) -> None:
    """Write /run/APP/attempt."""
    disk.write(host.attempt, attempt_text(attempt), 0o600)


def attempt_text(attempt: Noted) -> str:
    """The text of /run/APP/attempt."""
    return json.dumps(dict(attempt, version=NOTED))


def append(host: Host, record: Record) -> None:
    """Add a record to releases.log; a torn line before it stays a line of its own."""
    disk.write(host.log, append_record(log_text(host), record))


def append_record(text: str, record: Record) -> str:
    """The text of the log with one more record, and no more than KEPT of them."""
    lines = [old for old in text.split("\n") if old.strip()][-KEPT + 1:]
    return "".join(old + "\n" for old in lines) + line(record)
