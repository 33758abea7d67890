"""Which way an attempt goes whose deployer was not heard any more, and asks over another connection."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from . import disk, releases, slots
from .answers import Fate
from .host import Host, Problem
from .shapes import Noted
from .steps.commit import unprepare

DEATH = 10  # seconds that a process may take to die


def decide(host: Host, id: str, forward: bool | None = None, cause: str = "") -> Fate:
    """What becomes of an attempt: it is "committed", "back", or "settling", on the way to either; or "stuck", for the
    next deploy to settle. While that is open it is "promised", and commits by itself, or "open", and goes back; with
    `forward` it is made to go that way now."""
    with disk.locked(host.run):  # whoever settles it reads it after this
        attempt = releases.read_attempt(host)
        if not attempt or attempt.get("id") != id:
            return {"fate": "committed" if has_committed(host, id) else "back"}
        unit = host.states(host.app + "-deploy.service").get(host.app + "-deploy.service", {})
        if unit.get("MainPID") != str(attempt.get("pid")):
            return {"fate": "stuck" if unit.get("ActiveState") in ("inactive", "failed", None) else "settling"}
        if forward is None:
            return {"fate": "promised" if attempt.get("prepared") else "open"}
        end(attempt["pid"])
        tell(host, attempt, forward and can_commit(host, attempt), cause)
    return {"fate": "settling"}


def can_commit(host: Host, attempt: Noted) -> bool:
    """Whether all is prepared, and its visitors were not taken back."""
    return bool(attempt.get("renames")) and slots.live(host) == attempt["slot"]


def tell(host: Host, attempt: Noted, forward: bool, cause: str) -> None:
    """Write down which way it goes. Back is a rename, too, as there may be no room for another file."""
    if not forward:
        unprepare(host)
    try:
        releases.save_attempt(host, {**attempt, "prepared": forward, "cause": cause})
    except OSError:
        if forward:
            raise


def has_committed(host: Host, id: str) -> bool:
    """Whether releases.log says that the attempt was committed."""
    return any(record.get("id") == id and record["outcome"] == "committed" for record in releases.read_log(host)[0])


def end(pid: int) -> None:
    """Kill a process, and wait until it writes no more."""
    deadline = time.monotonic() + DEATH
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        while time.monotonic() < deadline:
            os.kill(pid, 0)  # raises once it is gone
            time.sleep(0.02)
        raise Problem("the agent of the deploy, process %d, does not die" % pid)
