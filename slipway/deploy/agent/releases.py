"""Read and write the files TAG, REVERT, releases.log and /run/APP/attempt."""

from __future__ import annotations

import json
import re
import shlex

from . import disk, message_types
from .host import Host, Problem, lines_of
from .message_types import Any, Noted, Record, Release, TypeGuard

VERSION = 1
NOTED = 2  # version of the file /run/APP/attempt; in version 1, beat was the only process outside the slots
KEPT = 5000  # releases.log keeps this many newest records; a tag in these must not name another image later
LONGEST = 8 * 2**20  # bytes read from the end of releases.log or the attempt file; a record has about 500
SHORT = 4096  # bytes read from the end of a TAG file, which has about 120
TAG, IMAGE_ID, DIGEST = (re.compile(text) for text in (message_types.TAG, message_types.IMAGE_ID, message_types.DIGEST))
WHOLE = ("tag", "image_id", "action", "outcome")  # keys that every record has; their values are strings
OPTIONAL = ("id", "who", "key", "digest", "withdrawn", "revision", "settings", "migrations")  # strings, too


def tag_text(release: Release) -> str:
    return f"export TAG={shlex.quote(release['tag'])}\nexport IMAGE_ID={shlex.quote(release['image_id'])}\n"


def parse_tag(text: str | None, path: str = "TAG") -> Release | None:
    """Return the release in a TAG file's text; None if `text` is None. Raises Problem if the text is malformed."""
    if text is None:
        return None
    values = {}
    try:
        for line in lines_of(text):
            name, _, value = line.replace("export ", "", 1).strip().partition("=")
            values[name] = "".join(shlex.split(value)[:1])
    except ValueError:  # the text has an unclosed quote
        values = {"TAG": " "}
    tag = values.get("TAG", "")
    image = values.get("IMAGE_ID", "")
    if not (TAG.fullmatch(tag) and IMAGE_ID.fullmatch(image)):
        raise Problem(f"{path} names no release: correct it to lines such as `export TAG=build-42`")
    return {"tag": tag, "image_id": image}


def read_tag(path: str) -> Release | None:
    return parse_tag(disk.read_exact(path, SHORT), path)


def log_line(record: Record) -> str:
    return json.dumps(dict(record, version=VERSION)) + "\n"


def parse_line(text: str) -> Record | None:
    """Return a line's record; None if the line is damaged. Raises Problem if a newer deployer wrote it."""
    record = parse_object(text)
    if record is None:
        return None
    refuse_newer(record, "releases.log")
    return record if is_valid_record(record) else None


def parse_object(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=int)  # NaN and Infinity are malformed: int() refuses them
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def is_valid_record(record: dict[str, Any]) -> TypeGuard[Record]:
    texts = [record.get(key) for key in WHOLE] + [record.get(key) or "" for key in OPTIONAL]
    if not all(type(text) is str for text in texts):
        return False
    if not (TAG.fullmatch(texts[0]) and IMAGE_ID.fullmatch(texts[1]) and DIGEST.fullmatch(record.get("digest") or "")):
        return False
    return is_time(record.get("at", 0)) and is_time(record.get("seconds", 0))


def is_time(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < 250e9  # type: ignore[operator]  # before the year 9999


def refuse_newer(content: Any, name: str, supported: int = VERSION) -> None:
    if type(content.get("version", 0)) is int and content.get("version", 0) > supported:
        raise Problem(f"{name} has version {content['version']}, which this deployer cannot read: use a newer deployer")


def parse_log(text: str) -> tuple[list[Record], int]:
    lines = [text for text in text.split("\n") if text.strip()][-KEPT:]
    records = [parse_line(text) for text in lines]
    return [record for record in records if record], records.count(None)


def read_log(host: Host) -> tuple[list[Record], int]:
    return parse_log(log_text(host))


def log_text(host: Host) -> str:
    return disk.read_exact(host.log, LONGEST) or ""


def committed_releases(records: list[Record], current: Release | None) -> list[Release]:
    """Return the committed releases, newest last, with the live one (`current`) even if no record names it."""
    history: list[Release] = [
        {"tag": record["tag"], "image_id": record["image_id"]}
        for record in records
        if record["outcome"] == "committed" and record["action"] != "restart"
    ]
    if current and (not history or history[-1] != current):
        history.append(current)
    return history


def withdrawn_tags(records: list[Record]) -> set[str]:
    """Return the tags that rollbacks withdrew, except tags that were committed again later."""
    tags = set()
    for record in records:
        if record["outcome"] == "committed":
            tags.discard(record["tag"])
            tags.update([record["withdrawn"]] if record.get("withdrawn") else [])
    return tags


def revert_for(records: list[Record], current: Release | None, tag: str, also_withdrawn: str = "") -> Release | None:
    """Return the release to which a rollback from `tag` goes: the newest other one that is committed and not withdrawn.
    Return None if there is none. `also_withdrawn`: the tag that the current rollback withdraws."""
    out = withdrawn_tags(records) - {tag} | ({also_withdrawn} if also_withdrawn else set())
    for release in reversed(committed_releases(records, current)):
        if release["tag"] != tag and release["tag"] not in out:
            return release
    return None


def read_attempt(host: Host) -> Noted | None:
    """Return the content of the attempt's file; None if it is missing. Raise Problem if it is malformed or too new."""
    text = disk.read_exact(host.attempt, LONGEST)
    if text is None:
        return None
    attempt: Noted | None = parse_object(text)
    if not attempt or type(attempt.get("tag")) is not str:
        raise Problem(f"{host.attempt} is malformed: check what runs on this host, then remove the file")
    refuse_newer(attempt, host.attempt, NOTED)
    return attempt


def save_attempt(host: Host, attempt: Noted) -> None:
    disk.write(host.attempt, attempt_text(attempt), 0o600)


def attempt_text(attempt: Noted) -> str:
    return json.dumps(dict(attempt, version=NOTED))


def append(host: Host, record: Record) -> None:
    disk.write(host.log, append_record(log_text(host), record))


def append_record(text: str, record: Record) -> str:
    """Return the log's text with a record added. Raise ValueError if parse_line would refuse the record."""
    if not is_valid_record({**record}):
        raise ValueError("the attempt cannot be recorded")
    lines = [old for old in text.split("\n") if old.strip()][-KEPT + 1 :]
    return "".join(old + "\n" for old in lines) + log_line(record)
