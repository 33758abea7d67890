"""Keep in /run/APP/steps which steps a deploy or rollback has taken here, for those who watch it. Best effort: a full
disk changes nothing."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from typing import TypedDict

from . import disk
from .host import Host, Problem
from .message_types import NotRequired, T, Time

MOST = 1 << 20  # bytes read of the file


class Step(TypedDict):
    """A step. `since`: when it began; `seconds`: how long it took, missing while it runs. `state`: "start", "done" or
    "failed", and then `problem`: why."""

    step: str
    state: str
    since: Time
    seconds: NotRequired[Time]
    problem: NotRequired[str]


class StepLog:
    """The steps of this process, which holds the host's lock."""

    def __init__(self, host: Host) -> None:
        self.path = path(host)
        self.steps: list[Step] = []
        self.lock = threading.Lock()

    def run(self, name: str, function: Callable[[], T]) -> T:
        """Return the function's result; note when it began and how it ended."""
        began = time.time()
        step: Step = {"step": name, "state": "start", "since": began}
        with self.lock:
            self.steps.append(step)
            self._save()
        state = "failed"
        try:
            result = function()
            state = "done"
            return result
        except Problem as problem:
            step["problem"] = str(problem)
            raise
        finally:
            with self.lock:
                step["state"] = state
                step["seconds"] = round(max(0.0, time.time() - began), 3)
                self._save()

    def done(self) -> set[str]:
        """Return the steps that have succeeded since the attempt began."""
        names: set[str] = set()
        for step in self.steps:
            if step["step"] == "begin":
                names = set()
            if step["state"] == "done":
                names.add(step["step"])
        return names

    def _save(self) -> None:
        with contextlib.suppress(OSError):
            with open(f"{self.path}.new", "w", encoding="utf-8") as file:
                json.dump({"pid": os.getpid(), "steps": self.steps}, file)
            os.replace(f"{self.path}.new", self.path)


def path(host: Host) -> str:
    return f"{host.run}/steps"


def remove(host: Host) -> None:
    """Remove the file of a process that has ended, and what it was writing when it was killed."""
    disk.remove(path(host), f"{path(host)}.new")


def steps_under_way(host: Host) -> list[Step]:
    """Return the steps of the process that holds the host's lock; none if it has ended."""
    try:
        noted = json.loads(disk.read_exact(path(host), MOST) or "{}")
        alive = os.path.exists(f"/proc/{int(noted['pid'])}")
        return noted["steps"] if alive and isinstance(noted["steps"], list) else []
    except (ValueError, KeyError, TypeError, OSError):
        return []
