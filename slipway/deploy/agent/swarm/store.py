"""What the swarm keeps of an app, as its configs and secrets: records of releases, settings, the lock of a deploy.

Each is written once, whole, and on most managers' disks before it counts. A name is taken by one only."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time

from .. import engine
from ..host import Host, Problem
from ..releases import parse_object
from ..shapes import Any

COMMITTED, FAILED = 40, 20  # records that are kept of either kind
LEADER = 30  # seconds that the managers may take to find a leader
LEADERLESS = re.compile("rpc error: code = (DeadlineExceeded|Unavailable)|no leader|lost leadership")
APP, KIND = "slipway.app", "slipway.kind"  # labels
KINDS = {"configs": "config", "secrets": "secret"}


# ---- asking ----

def call(host: Host, method: str, path: str, given: object = None) -> tuple[int, str]:
    """(status, body) of the engine's answer. Where a manager was just lost, the others find a leader first."""
    deadline = time.monotonic() + LEADER
    while True:
        status, body = engine.call(host, method, path, given=given)
        if status not in (500, 503) or not LEADERLESS.search(body) or time.monotonic() > deadline:
            return status, body
        time.sleep(0.5)


def ask(host: Host, path: str, what: str) -> Any:
    """What the engine tells, parsed; None where it knows nothing of that. Raises Problem, which begins with `what`."""
    status, body = call(host, "GET", path)
    if status == 404:
        return None
    try:
        if status == 200:
            return json.loads(body)
    except ValueError:
        raise Problem("%s: the answer is too long, or no JSON" % what) from None
    raise Problem("%s: %s" % (what, engine.error_of(status, body)))


# ---- objects ----

def objects(host: Host, sort: str, kind: str) -> list[Any]:
    """The app's configs or secrets (`sort`) of a kind, as the engine tells of them, by name."""
    wanted = quoted({"label": ["%s=%s" % (APP, host.app), "%s=%s" % (KIND, kind)]})
    found = ask(host, "/%s?filters=%s" % (sort, wanted), "docker %s ls" % KINDS[sort]) or []
    return sorted(found, key=lambda one: str(one["Spec"]["Name"]))


def put(host: Host, sort: str, kind: str, name: str, content: bytes) -> bool:
    """Make a config or secret; whether it is new."""
    given = {"Name": name, "Labels": {APP: host.app, KIND: kind}, "Data": base64.b64encode(content).decode()}
    status, body = call(host, "POST", "/%s/create" % sort, given)
    if status == 409:
        return False
    if status not in (200, 201):
        raise Problem("docker %s create %s: %s" % (KINDS[sort], name, engine.error_of(status, body)))
    return True


def remove(host: Host, sort: str, name: str) -> bool:
    """Remove a config or secret, if it is there; False where something uses it."""
    status, body = call(host, "DELETE", "/%s/%s" % (sort, name))
    if status in (200, 204, 404):
        return True
    if "in use" in body:
        return False
    raise Problem("docker %s rm %s: %s" % (KINDS[sort], name, engine.error_of(status, body)))


def content(found: Any) -> bytes:
    """What a config holds."""
    return base64.b64decode(found["Spec"].get("Data") or "")


def quoted(filters: dict[str, list[str]]) -> str:
    """Filters as a part of the engine's address."""
    from urllib.parse import quote  # only here: it takes long to load
    return quote(json.dumps(filters))


def node(host: Host) -> Any:
    """What this node is in its swarm. Raises Problem where it is no manager."""
    found = (ask(host, "/info", "docker info") or {}).get("Swarm") or {}
    if not found.get("ControlAvailable"):
        raise Problem("%s: run make provision" % (found.get("Error") or "this host manages no swarm"))
    return found


# ---- records ----

def records(host: Host) -> list[dict[str, Any]]:
    """All that is known of deploys, the newest last. Those that were committed have `stack`, what runs then."""
    found = [parse_object(content(one).decode(errors="replace")) for one in objects(host, "configs", "record")]
    return [record for record in found if record and type(record.get("tag")) is str]


def append(host: Host, record: dict[str, Any]) -> None:
    """Add a record. This is a deploy's commit: it is there as a whole, or not at all."""
    there = objects(host, "configs", "record")
    number = int(there[-1]["Spec"]["Name"].rpartition(".")[2]) + 1 if there else 1
    text = json.dumps(dict(record, version=1, at=round(time.time(), 3)))
    name = "%s.record.%08d" % (host.app, number)
    if not put(host, "configs", "record", name, text.encode()) and record["id"] not in {
            one.get("id") for one in records(host)[-1:]}:  # or the answer was lost
        raise Problem("somebody else has just written a record")
    for name in too_old({str(one["Spec"]["Name"]): parse_object(content(one).decode(errors="replace")) or {}
                         for one in there}):
        remove(host, "configs", name)


def too_old(found: dict[str, dict[str, Any]]) -> list[str]:
    """The names of records that nobody needs any more, of name → record. Failures never push out what was live."""
    good = [name for name in sorted(found) if found[name].get("outcome") == "committed"]
    bad = [name for name in sorted(found) if name not in good]
    return good[:-COMMITTED] + bad[:-FAILED]


def live(found: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The newest record that was committed."""
    return next((record for record in reversed(found) if record["outcome"] == "committed"), None)


# ---- settings ----

def named(app: str, text: bytes) -> str:
    """The name of settings, by their content."""
    return "%s.settings.%s" % (app, hashlib.sha256(text).hexdigest()[:16])


def settings(host: Host, name: str) -> bytes:
    """The text of settings; empty where there are none."""
    return next((content(one) for one in objects(host, "configs", "settings") if one["Spec"]["Name"] == name), b"")


def staged(host: Host) -> str:
    """The name of the settings that the next deploy takes; "" where none are staged."""
    return "".join(content(one).decode() for one in objects(host, "configs", "staged"))


def stage(host: Host, text: bytes, files: dict[str, bytes]) -> None:
    """Keep settings for the next deploy, as a config, which can be read again, and as the secret that containers get.
    `files`: name → content of secrets that they name."""
    name = named(host.app, text)
    for each, held in files.items():
        put(host, "secrets", "file", "%s.file.%s" % (host.app, each), held)
    put(host, "configs", "settings", name, text)
    put(host, "secrets", "settings", name, text)
    unstage(host)
    if not put(host, "configs", "staged", "%s.staged" % host.app, name.encode()):
        raise Problem("somebody else has staged settings at this moment: try again")


def unstage(host: Host) -> None:
    """Forget what was staged."""
    remove(host, "configs", "%s.staged" % host.app)


# ---- the lock ----

def lock(host: Host, holder: dict[str, Any]) -> dict[str, Any] | None:
    """Take the swarm's lock of this app; who has it instead, None where we have it now."""
    if put(host, "configs", "lock", "%s.lock" % host.app, json.dumps(holder).encode()):
        return None
    other = held(host)
    if other is None:
        raise Problem("%s.lock is not as a deploy leaves it, or was given back just now: try again" % host.app)
    return None if other.get("id") == holder["id"] else other  # None: it is ours, the answer to us was lost


def held(host: Host) -> dict[str, Any] | None:
    """Who has the lock; None where it is free."""
    found = objects(host, "configs", "lock")
    return (parse_object(content(found[0]).decode(errors="replace")) or {}) if found else None


def ours(host: Host, id: object) -> bool:
    """Whether the lock is that of an attempt."""
    return (held(host) or {}).get("id") == id


def unlock(host: Host) -> None:
    """Give the lock back."""
    remove(host, "configs", "%s.lock" % host.app)
