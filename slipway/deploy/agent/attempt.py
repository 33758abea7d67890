"""An attempt: a deploy, restart or rollback before its commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from . import disk, releases
from .host import Host, Problem
from .message_types import Any, Container, Noted, Release, Unpack


class Attempt:
    """An unfinished deploy, restart or rollback on this host. /run/APP/attempt contains its state, `noted`."""

    def __init__(self, host: Host, **values: Unpack[Noted]) -> None:
        self.host = host
        self.noted = values
        self.lock = threading.Lock()
        self.watch: Callable[[float], Any] | None = None  # Watcher.watch_for, once visitors are watched
        self.seen: Callable[[], Any] | None = None  # Watcher.seen, likewise
        self.over = threading.Event()  # set when the watcher shall stop, or has found a problem
        self.hears = False  # True while a thread reports containers that exit before the flip
        self.flipped = threading.Event()  # set at the flip; from then on the watcher reports containers that exit
        self.died: Problem | None = None  # the problem of a container that exited before the flip
        self.migrated = values.get("action") == "rollback"  # True: no migration is to come, so web must not exit
        self.restarted: dict[str, str] = {}  # name of a restarted container → its new id; old ids' exits are ignored
        self.sick: Problem | None = None  # the first problem that the watcher found after the flip
        self.ids: dict[str, str] = {}  # name → id of containers that must keep running
        self.media = ""  # where the new release stores uploads, as its web says; "" if unknown
        self.lacking: list[str] = []  # what the new release misses in the database, as its web says
        self.logs_since: dict[str, float] = {}  # container → a time.monotonic(); earlier lines are the old release's

    def note(self, **values: Unpack[Noted]) -> None:
        """Save values in the attempt's file. If the watcher has found a problem, save nothing and raise Problem."""
        with self.lock:
            if self.sick:
                raise Problem(str(self.sick), **self.sick.details)
            self.noted.update(values)
            releases.save_attempt(self.host, self.noted)

    def log_of(self, container: str) -> tuple[str, float, float]:
        """Return (container, start, end). The container's log lines between these two times are of the new release."""
        now = time.time()
        age = time.monotonic() - self.logs_since.get(container, self.noted["started"])
        return container, now - age, now + 1  # a takeback takes longer

    def must_not_end(self, names: Iterable[str], containers: dict[str, Container] | None) -> None:
        """Let the watcher fail the attempt if a container in `names` exits. If `containers` is None, do nothing."""
        if containers is not None:
            self.ids = {**self.ids, **{name: containers.get(name, ("",))[0] for name in names}}

    def release(self) -> Release:
        return {"tag": self.noted["tag"], "image_id": self.noted["image_id"]}


def new_slot_settings(host: Host, attempt: Attempt) -> tuple[str | None, str | None]:
    """Return (text, path) of the settings that the new slot gets; (None, None) if there is no settings file."""
    if attempt.noted["action"] == "rollback":
        going_back = releases.read_tag(host.revert)
        paths = [host.revert_env] if going_back and going_back["tag"] == attempt.noted["tag"] else []
    else:
        paths = [host.next_env]
    for path in [*paths, host.env]:
        text = disk.read_exact(path)
        if text is not None:
            return text, path
    return None, None
