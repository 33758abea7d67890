"""The step that begins an attempt."""

from __future__ import annotations

import time

from .. import disk, releases, slots, takeback
from ..attempt import Attempt, new_slot_settings
from ..host import Host, Problem
from ..message_types import Noted, Say, Unpack
from .commit import drop_prepared, drop_ways_back, note_commit
from .step import step


@step(600, undo=None, takeback="the idle slot stays stopped")
def begin(host: Host, attempt: Attempt, say: Say, **values: Unpack[Noted]) -> None:
    """Begin the attempt that `values` describe. Begin to stop the idle slot, unless is_warm returns True."""
    values.update(settle_leftovers(host, say))
    live = slots.live(host)
    idle = slots.other(live)
    attempt.noted.update(
        {**values, "live": live, "slot": idle, "started": time.monotonic(), "renames": [], "removes": []}
    )
    current = releases.read_tag(host.tag)
    if attempt.noted["action"] == "deploy" and current and current["tag"] == attempt.noted["tag"]:
        attempt.noted["action"] = "restart"  # on this host the tag is live already, though perhaps not on other hosts
    attempt.note(warm=is_warm(host, attempt, idle))
    slots.cancel_retirement(host)
    if attempt.noted["warm"]:
        attempt.note(settings_from=new_slot_settings(host, attempt)[1])
        return
    if slots.running(host, *slots.units(host, idle)):
        say({"event": "progress", "text": f"stopping the earlier release that still runs in slot {idle}"})
    slots.begin_stop(host, idle, attempt.noted["drain"])


def settle_leftovers(host: Host, say: Say) -> Noted:
    """Commit or take back an attempt whose agent died. Raise Problem if a takeback could not send visitors back.
    After an incomplete takeback, return the attempt's notes on stopped processes."""
    takeback.settle(host, say)
    left = releases.read_attempt(host) or {}
    if left and slots.live(host) != left["live"]:
        raise Problem(
            f"visitors are not back on slot {left['live']}: find out why {host.web_sock} does not point there"
        )
    note_commit(host)
    drop_prepared(host)
    drop_ways_back(host, processes="before" not in left)
    unsettled: Noted = {}
    if "before" in left:
        unsettled["before"] = left["before"]
    if "ended" in left:
        unsettled["ended"] = left["ended"]
    return unsettled


def is_warm(host: Host, attempt: Attempt, slot: str) -> bool:
    """Return True if this is a rollback to the release and settings that the slot still runs."""
    release = {"tag": attempt.noted["tag"], "image_id": attempt.noted.get("image_id")}
    if attempt.noted["action"] != "rollback" or slots.release_in(host, slot) != release:
        return False
    if (disk.read_exact(host.slot_file(slot, "env")) or "") != (new_slot_settings(host, attempt)[0] or ""):
        return False
    stay = [host.unit(role, slot) for role, process in host.processes.items() if process.stays]
    return len(slots.running(host, *stay)) == len(stay)
