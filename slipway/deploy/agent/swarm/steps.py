"""The steps of a deploy to a swarm, on one of its managers. What they begin, `settle` undoes or finishes.

The swarm has what lasts. /run/APP/swarm has what a dead agent would leave unsaid: why it was told to give up."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable

from .. import images, site
from ..answers import Image, Judged
from ..attempt import Attempt
from ..host import Host, Problem
from ..shapes import Any, Say
from ..steps.verdicts import SCHEMES, judged, names, parse_plan, verdicts_in
from . import settle, stacks, store

LOCKED = "locked: "  # with this begins what the deployer takes for a lock that somebody else has
PLAN = ["manage", "showmigrations", "--plan"]


class Swarming:
    """A deploy under way. `before`: the record of the release that was live; `stack`: what is to be."""

    def __init__(self, noted: dict[str, Any], stack: stacks.Stack, before: dict[str, Any] | None) -> None:
        self.noted, self.stack, self.before = noted, stack, before
        self.seen: set[str] = set()  # tasks that were there before
        self.plan: list[str] | None = None  # the migrations that the release knows


def begin(host: Host, attempt: Attempt, say: Say, noted: dict[str, Any], stack: stacks.Stack | None, proxy: str,
          live: str) -> None:
    """Take the swarm's lock of the app, and settle what a dead deploy has left. `stack`: None for a rollback, which
    takes that of the record; `proxy`: the content of the proxy's config; `live`: the id of the record by which all
    was decided."""
    here, noted = store.node(host), dict(noted, began=round(time.time(), 3))
    take_lock(host, say, dict(noted, node=here["NodeID"]))
    settle.note(host, noted)
    found = store.records(host)
    now = store.live(found)
    if live != str((now or {}).get("id", "")) or stack is not None and noted["settings"] != (
            store.staged(host) or str((now or {}).get("settings", ""))):
        raise Problem("somebody else has deployed, or staged settings, a moment ago: try again")
    old = next((record for record in reversed(found) if record["tag"] == noted["tag"]
                and record["outcome"] == "committed"), None) if stack is None else None
    if stack is None and not (old and old.get("stack")):
        raise Problem("nobody has written down how %s ran: it can't be gone back to" % noted["tag"])
    if proxy:
        store.put(host, "configs", "proxy", settle.proxy_of(stack or {}), proxy.encode())
    wanted = settle.anew(stacks.at_once(old["stack"]), noted["id"]) if old else stack or {}
    attempt.swarm = Swarming(dict(noted, settings=(old or noted)["settings"]), wanted, now)
    attempt.swarm.plan, attempt.swarm.seen = (old or {}).get("plan"), stacks.seen(host)


def take_lock(host: Host, say: Say, holder: dict[str, Any]) -> None:
    """Take the swarm's lock. One whose holder is dead is taken over, after its deploy is settled: ours is this node's
    only deploy, and a node that is down does nothing."""
    other = store.lock(host, holder)
    if not other:
        return
    if other.get("node") != holder["node"] and not is_down(host, str(other.get("node"))):
        raise Problem(LOCKED + str(other.get("who", "by somebody")))
    say({"event": "progress", "text": "%s was left unfinished: settling it first" % other.get("who", "a deploy")})
    settle.settle(host, say, wait=False)
    if store.lock(host, holder):
        raise Problem(LOCKED + "by somebody who came a moment before")


def is_down(host: Host, node: str) -> bool:
    """Whether a node is out of the swarm's sight, or gone from it."""
    found = store.ask(host, "/nodes/%s" % node, "docker node inspect")
    return not found or found["Status"]["State"] == "down"


def pull(host: Host, attempt: Attempt, say: Say, image: str) -> Image:
    """Pull the image here, for what is read of it; other nodes pull what they run. What it is, for the deployer to
    judge."""
    noted = attempt.swarm.noted
    found = bring(host, image, noted["digest"])
    found["others"] = sorted({record["image_id"] for record in store.records(host) if record["tag"] == noted["tag"]
                              and record["image_id"] not in ("", noted["digest"])})
    return found


def bring(host: Host, image: str, digest: str) -> Image:
    """An image that is here then."""
    source = "%s@%s" % (image, digest)
    if not images.about(host, source):
        images.bring(host, image, digest)
    found = images.about(host, source)
    if not found:
        raise Problem("%s was pulled and is not there" % source)
    return found


def verdicts(host: Host, attempt: Attempt, say: Say, image: str) -> Judged:
    """The verdicts on migrations: see steps/verdicts.py."""
    now, before = attempt.swarm, attempt.swarm.before
    vendor = site.setting(host, store.settings(host, now.noted["settings"]), "DATABASE_URL").partition(":")[0]
    vendor = SCHEMES.get(vendor, vendor)
    if now.noted["action"] == "rollback":
        known, listed = set(now.plan or ()), (before or {}).get("plan") or []
        wanted = [name for name in listed if name not in known]
        if not wanted:
            return {"incompatible": {}, "unjudged": [], "cure": ""}
        return judged(wanted, verdicts_in(host, bring(host, image, before["digest"])["image_id"]), vendor, ())
    found = verdicts_in(host, bring(host, image, now.noted["digest"])["image_id"])
    listed = parse_plan(stacks.run(host, now.stack, PLAN, 120, lambda text: names(found) <= parse_plan(text).keys()))
    if not listed:
        raise Problem("%s listed no migration: see what the release does there" % " ".join(PLAN))
    now.plan = sorted(listed)
    pending = [name for name, applied in listed.items() if not applied]
    if not pending or not before:  # no release is live that would have to work with them
        well = [record["outcome"] for record in store.records(host)][-1:] in ([], ["committed"])
        return {"incompatible": {}, "unjudged": [], "cure": "", "applied": not pending and well}
    return judged(pending, found, vendor, pending)


def migrate(host: Host, attempt: Attempt, say: Say, seconds: float) -> None:
    """Apply the new release's migrations, within so many seconds."""
    stacks.run(host, attempt.swarm.stack, ["migrate"], seconds)


def upload(host: Host, attempt: Attempt, say: Say, bucket: str, seconds: float) -> None:
    """Add the new release's static files to those in a bucket, within so many seconds."""
    stacks.run(host, attempt.swarm.stack, ["collectstatic", bucket], seconds)


def update(host: Host, attempt: Attempt, say: Say, part: str, seconds: float) -> None:
    """Have the web change over, with its proxy, or all else, as `part` says; wait until all containers are new and
    well, so many seconds."""
    stack = stacks.part(attempt.swarm.stack, part)
    still_ours(host, attempt)
    stacks.put(host, stack)
    stacks.wait(host, stack, attempt.swarm.seen, seconds)


def still_ours(host: Host, attempt: Attempt) -> None:
    """Raise Problem where somebody has taken the lock over, as this host was out of the others' sight."""
    if not store.ours(host, attempt.swarm.noted["id"]):
        raise Problem("another manager has taken this deploy over: see make status")


def watch(host: Host, attempt: Attempt, say: Say, seconds: float) -> None:
    """Watch the new containers for so many seconds. Raises Problem where one ends, or is no longer well."""
    deadline, wanted = time.monotonic() + seconds, stacks.ids(attempt.swarm.stack)
    while time.monotonic() < deadline:
        stacks.look(host, wanted, attempt.swarm.seen)
        time.sleep(stacks.PAUSE)


def commit(host: Host, attempt: Attempt, say: Say) -> None:
    """Write the record: from here on the release is live, whoever dies. Then end what it no longer has."""
    now = attempt.swarm
    still_ours(host, attempt)
    withdrawn = {"withdrawn": now.before["tag"]} if now.noted["action"] == "rollback" and now.before else {}
    seconds = round(time.time() - now.noted["began"], 3)
    store.append(host, dict(now.noted, outcome="committed", stack=now.stack, plan=now.plan, seconds=seconds,
                            image_id=now.noted["digest"], **withdrawn))
    settle.finish(host, now.noted["id"])


def ended(host: Host, attempt: Attempt, say: Say) -> dict[str, bool]:
    """Settle the deploy that has the lock if nobody works at it any more; whether nobody has it then."""
    here, holder = store.node(host)["NodeID"], store.held(host)
    if holder and (holder.get("node") == here or is_down(host, str(holder.get("node")))):
        settle.settle(host, say)
    return {"free": not store.held(host)}


def stage(host: Host, attempt: Attempt, say: Say, settings: str, files: dict[str, str]) -> None:
    """Keep settings for the next deploy; bytes come as base64."""
    if store.held(host):
        raise Problem("a deploy is under way: try again after it")
    store.stage(host, base64.b64decode(settings), {name: base64.b64decode(each) for name, each in files.items()})


STEPS: dict[str, Callable[..., object]] = {"swarm_" + step.__name__: step for step in (
    begin, pull, verdicts, upload, migrate, update, watch, commit, ended, stage)}
