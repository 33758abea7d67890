"""Which way an attempt goes, for a deployer whose connection broke and who asks over another one."""

from __future__ import annotations

import os
import signal

from . import disk, releases, slots
from .answers import Fate
from .host import Host, Problem, is_up, wait_until
from .shapes import Noted
from .steps.commit import withdraw_promise

DEATH = 10  # seconds that a process may take to die


def decide(host: Host, id: str, forward: bool | None = None, cause: str = "") -> Fate:
    """Return what becomes of an attempt: "committed", "back", "settling" (on its way), "stuck" (until the next deploy),
    "promised" (commits by itself), "open" (goes back by itself). `forward`, if given, ends it that way, for this
    `cause`."""
    with disk.locked(host.run):  # the takeback reads it after this
        attempt = releases.read_attempt(host)
        if not attempt or attempt.get("id") != id:
            return {"fate": "committed" if has_committed(host, id) else "back"}
        unit = host.states(host.lock)[host.lock]
        if unit.get("MainPID") != str(attempt.get("pid")):
            return {"fate": "settling" if is_up(unit) else "stuck"}
        if forward is None:
            return {"fate": "promised" if attempt.get("promised") else "open"}
        kill(attempt["pid"])
        note_direction(host, attempt, forward and can_commit(host, attempt), cause)
    return {"fate": "settling"}


def can_commit(host: Host, attempt: Noted) -> bool:
    """Whether all is prepared, and the visitors were not taken back."""
    return bool(attempt.get("renames")) and slots.live(host) == attempt["slot"]


def note_direction(host: Host, attempt: Noted, forward: bool, cause: str) -> None:
    """Write down which way the attempt goes. Back is also a rename, as there may be no room for another file."""
    if not forward:
        withdraw_promise(host)
    try:
        releases.save_attempt(host, {**attempt, "promised": forward, "cause": cause})
    except OSError:
        if forward:
            raise


def has_committed(host: Host, id: str) -> bool:
    """Whether releases.log says that the attempt was committed."""
    return any(record.get("id") == id and record["outcome"] == "committed" for record in releases.read_log(host)[0])


def kill(pid: int) -> None:
    """Kill a process, and wait until it writes no more. Raises Problem where it does not die."""
    def is_gone() -> bool:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return True
        return False
    if not wait_until(is_gone, DEATH):
        raise Problem("the agent of the deploy, process %d, does not die" % pid)
