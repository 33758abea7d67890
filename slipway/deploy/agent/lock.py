"""The host's lock: the systemd unit APP-deploy, in which a second agent runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import TypedDict

from . import disk, limits, releases
from .host import ENVIRONMENT, Host, Problem, lines_of, lock_holder
from .message_types import NotRequired

TAKEN = re.compile(r"\.service (was already loaded|already exists)")  # systemd's error if the unit's name is in use
WAIT = 120  # seconds to wait until the retirement of an old slot releases the lock


class Locked(TypedDict):
    """The answer to a request for the lock."""

    locked: str | None  # who else holds the host's lock; None: nobody else (our unit has ended, or cannot start)
    errors: NotRequired[list[str]]  # the last lines that the unit or systemd-run wrote to stderr
    attempt: NotRequired[bool]  # True: the host has an unfinished attempt
    tag: NotRequired[str | None]  # the committed release's tag, from the file TAG


def lock(
    host: Host, folder: str, description: str, dead_after: float, bare: bool = False, kind: str = "", key: str = ""
) -> Locked:
    """Hold the host's lock: run the agent in `folder` as unit APP-deploy. Return how it ended, or who else holds the
    lock. `dead_after`: seconds without a message until the unit is killed. `bare`: True if the app may lack
    its folders; then the agent's folder may be a temporary one. `kind`, `key`: see limits.py."""
    deadline = time.monotonic() + WAIT
    while True:
        if held := await_retirement(host, deadline):
            return {"locked": held}
        if not bare and os.path.dirname(folder) != host.run:
            raise Problem(f"{host.run} cannot hold the agent: run slipway provision first, and free some space there")
        errors = run_as_unit(host, folder, description, dead_after, bare, kind, key)
        held = who_holds_lock(host)
        in_use = TAKEN.search(" ".join(errors))
        if not (in_use and is_retirement(held)):  # retry if the timer that stops an old slot has just taken the lock
            break
    held = held or ("by somebody else, a moment ago" if in_use else None)
    answer: Locked = {"errors": errors, "locked": held}
    if not bare:
        tag = releases.read_tag(host.tag)
        answer.update({"attempt": bool(disk.read(host.attempt)), "tag": tag and tag["tag"]})
    return answer


def await_retirement(host: Host, deadline: float) -> str | None:
    held = who_holds_lock(host)
    while is_retirement(held) and time.monotonic() < deadline:
        time.sleep(0.2)
        held = who_holds_lock(host)
    return held


def is_retirement(held: str | None) -> bool:
    return (held or "").startswith("retirement")


def run_as_unit(
    host: Host, folder: str, description: str, dead_after: float, bare: bool, kind: str = "", key: str = ""
) -> list[str]:
    run = [sys.executable, "-I", "-S", folder]
    properties = {
        "WatchdogSec": dead_after,
        "WatchdogSignal": "SIGKILL",
        "KillSignal": "SIGKILL",
        "TimeoutStopSec": 900,
        "ExecStopPost": " ".join([*run, "takeback", host.app]),
        **({"KillMode": "process"} if bare else {}),  # kill only the agent: apt or nginx may finish
        **(limits.OF_UNIT if kind else {}),
    }
    with open(os.open(folder, os.O_TMPFILE | os.O_RDWR), "w+b") as stderr:
        subprocess.run(
            [
                "systemd-run",
                "--quiet",
                "--pipe",
                "--wait",
                "--collect",
                "--service-type=exec",
                f"--unit={host.app}-deploy",
                f"--description={f'deploy key SHA256:{key}: ' if key else ''}{description}",
                *(word for name, value in properties.items() for word in ("-p", f"{name}={value}")),
                *run,
                "work",
                host.app,
                *filter(None, [kind, key]),
            ],
            stderr=stderr,
            env=ENVIRONMENT,
            check=False,
        )
        stderr.seek(0)
        return lines_of(stderr.read().decode(errors="replace").strip())[-5:]


def who_holds_lock(host: Host) -> str | None:
    return lock_holder(host.states(host.lock)[host.lock])
