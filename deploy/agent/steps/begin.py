"""What a dead deploy has left is settled, and the idle slot begins to empty."""

from __future__ import annotations

import time

from .. import disk, releases, slots, takeback
from ..answers import Begun
from ..attempt import Attempt, settings
from ..host import Host, Problem
from ..shapes import Noted, Say, Unpack
from .commit import drop_prepared, drop_ways_back


def begin(host: Host, attempt: Attempt, say: Say, **values: Unpack[Noted]) -> Begun:
    """Settle what a dead deploy has left, and begin to empty the idle slot, unless it holds what a rollback wants."""
    values.update(settle(host, say))
    live = slots.live(host)
    idle = slots.other(live)
    attempt.noted.update({**values, "live": live, "slot": idle, "began": time.time(), "renames": [], "removes": []})
    current = releases.read_tag(host.tag)
    if attempt.noted["action"] == "deploy" and current and current["tag"] == attempt.noted["tag"]:
        attempt.noted["action"] = "restart"  # here alone: other hosts are on another release
    attempt.note(warm=is_warm(host, attempt, idle))
    if attempt.noted["warm"]:
        attempt.note(settings_from=settings(host, attempt)[1])
        slots.keep(host)
        return {"warm": True}
    if slots.running(host, *slots.units(host, idle)):
        say({"event": "progress", "text": "ending the release before the last in slot %s" % idle})
    slots.keep(host)
    slots.begin_stop(host, idle)
    return {"warm": False}


def settle(host: Host, say: Say) -> Noted:
    """Settle it; the way back of a beat that could not be brought back, for the new attempt to keep."""
    takeback.settle(host, say)
    left = releases.read_attempt(host) or {}
    if left and slots.live(host) != left["live"]:
        raise Problem("visitors do not come back to slot %s: see what keeps %s" % (left["live"], host.web_sock))
    drop_prepared(host)
    drop_ways_back(host, beat="beat_before" not in left)
    return {"beat_before": left["beat_before"]} if "beat_before" in left else {}


def is_warm(host: Host, attempt: Attempt, slot: str) -> bool:
    """Whether the slot still runs what a rollback goes to, with the settings it had."""
    release = {"tag": attempt.noted["tag"], "image_id": attempt.noted.get("image_id")}
    if attempt.noted["action"] != "rollback" or slots.release_in(host, slot) != release:
        return False
    if (disk.read_exact(host.slot_file(slot, "env")) or "") != (settings(host, attempt)[0] or ""):
        return False
    return len(slots.running(host, *slots.units(host, slot))) == len(slots.units(host, slot))
