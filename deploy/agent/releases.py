"""TAG, REVERT, releases.log and /run/APP/attempt: what they hold, and what follows from it. Pure but for reading."""

import json
import shlex
import zlib

from . import disk
from .host import Problem

VERSION = 1
KEPT = 5000  # records of releases.log: as long a tag may not be used for another image


def tag_text(release):
    return "export TAG=%s\nexport IMAGE_ID=%s\n" % (shlex.quote(release["tag"]), shlex.quote(release["image_id"]))


def parse_tag(text):
    """{"tag", "image_id"} of a TAG file's text; None for one that names no release."""
    values = {}
    for line in (text or "").splitlines():
        name, _, value = line.replace("export ", "", 1).strip().partition("=")
        values[name] = "".join(shlex.split(value)[:1])
    return {"tag": values["TAG"], "image_id": values.get("IMAGE_ID", "")} if values.get("TAG") else None


def read_tag(path):
    return parse_tag(disk.read(path))


def line(record):
    """A record as a line of the log: JSON, with the CRC32 of all before it as its last key."""
    text = json.dumps(dict(record, version=VERSION))
    return '%s, "crc32": "%08x"}\n' % (text[:-1], zlib.crc32(text.encode()))


def parse_line(text):
    """The record of a line, or None where it is torn. Raises Problem for a newer version."""
    head, found, _ = text.rpartition(', "crc32": "')
    try:
        record, crc = json.loads(text), text[len(head) + len(found):].rstrip().rstrip("}").strip('"')
    except ValueError:
        return None
    if not found or crc != "%08x" % zlib.crc32((head + "}").encode()):
        return None
    known(record, "releases.log")
    return record


def known(content, name):
    if content.get("version", 0) > VERSION:
        raise Problem("%s is of version %s, which only a newer deployer knows: use that one" % (
            name, content["version"]))


def parse_log(text):
    """(records, how many lines were torn) of releases.log."""
    lines = [text for text in (text or "").split("\n") if text.strip()]
    records = [parse_line(text) for text in lines]
    return [record for record in records if record], records.count(None)


def read_log(host):
    return parse_log(disk.read(host.log))


def of_tag(host, tag):
    """The records of a tag, however old."""
    named = json.dumps({"tag": tag})[1:-1]
    return [record for record in parse_log("\n".join(
        text for text in (disk.read(host.log) or "").split("\n") if named in text))[0] if record["tag"] == tag]


def committed(records, current):
    """Releases in the order they were committed, newest last; `current` (TAG) was, whether or not a record says so."""
    history = [{"tag": record["tag"], "image_id": record["image_id"]} for record in records
               if record["outcome"] == "committed" and record["action"] != "restart"]
    if current and (not history or history[-1] != current):
        history.append(current)
    return history


def withdrawn(records):
    """Tags that were rolled back from and not committed since."""
    tags = set()
    for record in records:
        if record["outcome"] == "committed":
            tags.discard(record["tag"])
            tags.update([record["withdrawn"]] if record.get("withdrawn") else [])
    return tags


def revert_for(records, current, tag, also_withdrawn=""):
    """Where `rollback` goes once `tag` is live: the newest committed release that is neither it nor withdrawn."""
    out = withdrawn(records) - {tag} | ({also_withdrawn} if also_withdrawn else set())
    for release in reversed(committed(records, current)):
        if release["tag"] != tag and release["tag"] not in out:
            return release
    return None


def read_attempt(host):
    """What a deploy under way has written down; None where there is none, or where it is torn."""
    try:
        attempt = json.loads(disk.read(host.attempt) or "null")
    except ValueError:
        attempt = None
    if attempt:
        known(attempt, host.attempt)
    return attempt


def save_attempt(host, attempt):
    disk.write(host.attempt, attempt_text(attempt), 0o600)


def attempt_text(attempt):
    return json.dumps(dict(attempt, version=VERSION))


def append(host, record):
    """Add a record; a line that was torn before it stays apart."""
    text = disk.read_exact(host.log) or ""
    disk.write(host.log, with_record(text, record))


def with_record(text, record):
    """The text of the log with one record more, and not more than KEPT."""
    lines = [old for old in text.split("\n") if old.strip()][-KEPT + 1:]
    return "".join(old + "\n" for old in lines) + line(record)
