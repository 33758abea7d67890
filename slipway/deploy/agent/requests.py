"""The requests that a deployer may send to this host: their arguments, these arguments' shapes, and who may send them.

Nothing else is done, as whoever holds a deploy key may send anything. What a deploy needs of docker options, mounts,
units, nginx and settings, provisioning has written on the host; a request names none of it."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Collection, Mapping

from . import disk, provisioned, releases
from .host import Host, Problem
from .message_types import DIGEST, IMAGE_ID, IN_SECRETS, TAG, Any, Message, Noted

Shape = Callable[[object], bool]
# Kind of key → bytes of a line. An administrator's, "", may hold files.
LINES = {"": 1 << 26, "deploy": 1 << 20, "watch": 1 << 20}
LINE = LINES[""]
DAY = 86_400.0


def text(pattern: str, most: int = 2000) -> Shape:
    return lambda value: isinstance(value, str) and len(value) <= most and bool(re.fullmatch(pattern, value))


def number(least: float, most: float) -> Shape:
    return lambda value: type(value) in (int, float) and least <= value <= most  # type: ignore[operator]


def flag(value: object) -> bool:
    return isinstance(value, bool)


def optional(shape: Shape) -> Shape:
    return lambda value: value is None or shape(value)


def list_of(shape: Shape, most: int = 1000) -> Shape:
    return lambda value: isinstance(value, list) and len(value) <= most and all(map(shape, value))


def table_of(**shapes: Shape) -> Shape:
    return lambda value: isinstance(value, dict) and not mismatch(value, shapes)


def files_of(content: Shape) -> Shape:
    return lambda value: isinstance(value, dict) and all(secret(name) and content(each) for name, each in value.items())


def record(value: object) -> bool:
    return isinstance(value, dict) and releases.is_valid_record(value)


def printable(value: object) -> bool:
    """Return True for a short text without controls and ends of lines, of which Unicode has more than ASCII."""
    return isinstance(value, str) and len(value) <= 300 and value.isprintable()


def description(value: object) -> bool:
    """Return True for a text that says who holds the lock. A timer's begins with "retirement"."""
    return printable(value) and bool(value) and not str(value).startswith("retirement")


anything = text(r"(?s:.*)", LINE)
tag = text(TAG)
image_id = text(f"|{IMAGE_ID}")
digest = text(f"|{DIGEST}")
id_of_attempt = text("[0-9a-f]{12}")
cause = text("(?s:.*)")
image = text(r"[A-Za-z0-9][A-Za-z0-9._/:-]*", 300)
roles = list_of(text("[a-z][a-z0-9]*", 30), 100)
smoke = list_of(text("/[!-~]*"), 100)
seconds = number(0, DAY)
moment = number(-250e9, 250e9)
secret = text(IN_SECRETS)
base64 = text(r"[A-Za-z0-9+/]*={0,2}", LINE)
place = table_of(inode=number(0, 2**64), offset=number(0, 2**63))

# Request or step → argument → its shape. An argument whose name ends in "?" may be missing.
SHAPES: dict[str, dict[str, Shape]] = {
    "facts": {
        "paths?": list_of(text("/[!-~]*")),
        "health?": flag,
        "tag?": text(f"|{TAG}"),
        "history?": flag,
        "blind?": flag,
    },
    "last_lines": {"name": text("[a-z0-9-]+", 60), "since": moment, "until": moment},
    "decide": {"id": id_of_attempt, "forward?": optional(flag), "cause?": cause},
    "resolve": {"image": image, "tag": tag, "credentials?": anything},
    "has_image": {
        "image": image,
        "tag": tag,
        "image_id": image_id,
        "digest": digest,
        "credentials?": anything,
        "pulls?": flag,
    },
    "errors": {
        "since?": optional(moment),
        "tag?": text(f"|{TAG}"),
        "seconds?": number(0, 3600),
        "also?": list_of(text("[0-9a-f]{8}"), 10_000),
    },
    "certificates": {},
    "services": {},
    "pulse": {"place?": optional(place)},
    "traffic": {"place": place, "since": moment},
    "celery": {},
    "backups": {},
    "backups_listed": {},
    "restored": {},
    "point": {"kind": text("before|commit"), "tag": tag},
    "lock": {
        "description": description,
        "dead_after": number(3, 3600),
        "bare?": flag,
    },
    "read_settings": {"secrets?": flag},
    "command": {"script": anything, "input?": base64, "seconds?": number(0, 2 * DAY)},
    "put": {
        "path": text("/[^\x00]+"),
        "content": base64,
        "mode": number(0, 0o7777),
        "owner": printable,
        "group": printable,
    },
    "stage": {"settings": base64, "files": files_of(base64)},
    "keep": {"files": list_of(secret)},
    "inherit": {"records": list_of(record, releases.KEPT), "files": files_of(base64), "reverted?": optional(base64)},
    # ---- the steps of a deploy ----
    "begin": {
        "id": id_of_attempt,
        "who": printable,
        "action": text("deploy|restart|rollback"),
        "tag": tag,
        "digest": digest,
        "image_id": image_id,
        "image": image,
        "keep_warm": seconds,
        "drain": number(0, 30),
        "keep_releases": number(0, 1000),
        "allow_incompatible?": flag,
    },
    "pull": {"image": image, "credentials?": anything, "reference?": text(r"|127\.0\.0\.1:\d{1,5}/app")},
    "verdicts": {},
    "start": {"roles": roles, "migrated?": flag},
    "publish": {},
    "upload": {"bucket": text(r"s3://[A-Za-z0-9._/-]+"), "seconds": seconds},
    "migrate": {"seconds": seconds, "max_lock": number(0, 1e9)},
    "ready": {"seconds": seconds, "smoke": smoke, "roles": roles},
    "pause": {"seconds?": seconds},
    "flip": {"smoke": smoke, "max_errors?": optional(number(0, 1))},
    "watch": {"seconds": seconds},
    "replace": {"seconds": seconds},
    "prepare": {},
    "promise": {},
    "commit": {},
}
# Step → the step that must have succeeded before it. Others need an image in their slot.
BEFORE = {
    "begin": "",
    "pull": "begin",
    "flip": "ready",
    "watch": "flip",
    "replace": "flip",
    "prepare": "replace",
    "promise": "prepare",
    "commit": "promise",
}
ABORT: dict[str, Shape] = {"cause?": cause}
# Kind of key → requests that it may not send. An administrator's is "".
REFUSED: dict[str, tuple[str, ...]] = {
    "": (),
    "deploy": ("read_settings", "command", "put", "stage", "keep", "inherit", "backups_listed", "restored"),
}
REFUSED["watch"] = (*REFUSED["deploy"], "lock", "decide", "point", "resolve", "has_image")


def mismatch(values: Mapping[str, Any], shapes: Mapping[str, Shape]) -> str:
    """Return the name of a value that is missing, unknown, or not of its shape; "" if all fit."""
    by_name = {name.rstrip("?"): shape for name, shape in shapes.items()}
    for name in shapes:
        if not name.endswith("?") and name not in values:
            return name
    for name, value in values.items():
        if name not in by_name or not by_name[name](value):
            return name
    return ""


def check(host: Host, kind: str, do: object, args: object) -> None:
    """Raise Problem unless a key of this kind may send the request."""
    if not isinstance(do, str) or do not in SHAPES or not isinstance(args, dict):
        raise Problem("an unknown request")
    if do in REFUSED[kind] or (kind and (args.get("bare") or args.get("reference"))):
        raise Problem(f"this key may {kind} {host.app}, not {do.replace('_', ' ')}: use an administrator's key")
    if wrong := mismatch(args, SHAPES[do]):
        raise Problem(f"{do}: the argument {wrong[:40]!r} is missing, unknown or malformed")
    if wrong := contradiction(host, do, args):
        raise Problem(f"{do}: {wrong}")


def missing_step(host: Host, step: str, done: Collection[str]) -> str:
    """Return the step that must have succeeded before this one; "" if it is `done`. A host without web has no visitors
    who could meet a release that is not ready; one without beat and the like has nothing to replace."""
    before = BEFORE.get(step, "pull")
    if step == "prepare" and not host.alone():
        before = "flip"
    if step == "flip" and not host.has("web"):
        before = "pull"
    return "" if before in ("", *done) else before


def parse_message(line: bytes) -> Message:
    """Return the message of a line. Exit if it is none: what comes next cannot be trusted either."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and ("abort" in value or value.get("do") == "alive" or type(value.get("id")) is int):
        return value  # type: ignore[return-value]  # `check` looks at the rest
    sys.exit("a message of the deployer is malformed")


def abort_cause(value: object) -> Noted:
    """Return the cause that an abort gives, if it gives one. It aborts in any case."""
    is_abort = isinstance(value, dict) and not mismatch(value, ABORT)
    return {"cause": value["cause"]} if is_abort and "cause" in value else {}  # type: ignore[index, operator]


# ---- what provisioning and earlier deploys have fixed on this host ----


def contradiction(host: Host, do: str, args: Mapping[str, Any]) -> str:
    """Return why the arguments contradict what this host has; "" if they do not."""
    if "image" in args and args["image"] != setting(host, "IMAGE"):
        return f"the image {args['image']} is not that of {host.etc}: run slipway provision"
    if "bucket" in args and args["bucket"] != setting(host, "STATIC"):
        return f"the bucket {args['bucket']} is not that of {host.etc}: run slipway provision"
    if do in ("begin", "has_image") and args.get("image_id") and not is_recorded(host, do, args):
        return f"{args.get('tag')} with this image is no release of this host"
    if do == "last_lines" and args.get("name") not in containers(host):
        return "that container is not the app's"
    if unknown := [path for path in args.get("paths", ()) if not provisioned.is_provisioned(host.app, path)]:
        return f"{unknown[0][:100]} is not written by provisioning"
    return ""


def setting(host: Host, name: str) -> str:
    """Return a value of /etc/default/APP, which docker-runner reads as a shell does; "" if it has none."""
    values = re.findall(rf"^{name}=(.*)$", disk.read(host.etc) or "", re.MULTILINE)
    return "".join(shlex.split(values[-1])) if values else ""


def is_recorded(host: Host, do: str, args: Mapping[str, Any]) -> bool:
    """Return True for a rollback to a release that was committed here, or on the host whose history this one has."""
    release = {"tag": args.get("tag"), "image_id": args["image_id"]}
    recorded = [
        *releases.committed_releases(releases.read_log(host)[0], releases.read_tag(host.tag)),
        releases.read_tag(host.revert),
    ]
    return (do == "has_image" or args.get("action") == "rollback") and release in recorded


def containers(host: Host) -> set[str]:
    return {host.container(role, slot) for role in host.processes for slot in ("", "a", "b")}
