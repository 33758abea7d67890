"""Answers a reconnected deployer: has this host committed the attempt, or gone back?"""

from __future__ import annotations

import os
import signal
from typing import Literal, TypedDict

from . import disk, releases, slots
from .host import Host, Problem, is_up, wait_until
from .message_types import Noted
from .steps.commit import withdraw_promise

DEATH = 10  # seconds to wait until a killed process is gone


class AttemptState(TypedDict):
    """The state of an attempt on a host, in one word that attempt_state.decide explains."""

    state: Literal["committed", "back", "settling", "stuck", "promised", "open"]


def decide(host: Host, id: str, forward: bool | None = None, cause: str = "") -> AttemptState:
    """Return the state of attempt `id`. `forward`: True commits it if possible, False undoes it. `cause`: the reason.
    States: "committed"; "back": undone; "settling": ending now; "stuck": the next deploy ends it. If the deployer stays
    silent, the host commits a "promised" attempt and undoes an "open" one."""
    with disk.locked(host.run):  # lock: a takeback may read the attempt at the same time
        attempt = current(host, id)
        if not attempt:
            return state_of_ended(host, id)
        unit = host.states(host.lock)[host.lock]
        if unit.get("MainPID") != str(attempt.get("pid")):
            if is_up(unit):
                return {"state": "settling"}
            # Look again: a takeback may have ended the attempt after the first look, and then its unit.
            return {"state": "stuck"} if current(host, id) else state_of_ended(host, id)
        if forward is None:
            return {"state": "promised" if attempt.get("promised") else "open"}
        kill(attempt["pid"])
        forward = forward and bool(attempt.get("renames")) and slots.live(host) == attempt["slot"]
        note_direction(host, attempt, forward, cause)
    return {"state": "settling"}


def current(host: Host, id: str) -> Noted | None:
    """Return the attempt `id` if it has not ended."""
    attempt = releases.read_attempt(host)
    return attempt if attempt and attempt.get("id") == id else None


def state_of_ended(host: Host, id: str) -> AttemptState:
    outcomes = [record["outcome"] for record in releases.read_log(host)[0] if record.get("id") == id]
    return {"state": "committed" if "committed" in outcomes else "back"}


def note_direction(host: Host, attempt: Noted, forward: bool, cause: str) -> None:
    """Save in the attempt's file that the host commits (`forward`) or goes back. Going back needs no disk space."""
    if not forward:
        withdraw_promise(host)
    try:
        releases.save_attempt(host, {**attempt, "promised": forward, "cause": cause})
    except OSError:
        if forward:
            raise


def kill(pid: int) -> None:
    def is_gone() -> bool:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return True
        return False

    if not wait_until(is_gone, DEATH):
        raise Problem(f"the deploy's agent, process {pid}, still runs {DEATH} s after SIGKILL")
