"""What this deploy has done so far: /run/APP/attempt."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from . import disk, releases
from .host import Host, Problem
from .shapes import Container, Noted, Release, Unpack, Watching


class Attempt:
    """A deploy under way; `noted` is what /run/APP/attempt holds."""

    def __init__(self, host: Host, **values: Unpack[Noted]) -> None:
        self.host, self.noted, self.lock = host, values, threading.Lock()
        self.watcher: Watching | None = None
        self.hears = False  # what ends before the flip
        self.flipped = threading.Event()  # from here on the watcher tells of what ends
        self.died: Problem | None = None  # how a container of the slot has ended before the flip
        self.anew: dict[str, str] = {}  # container → id, of those started once more: older ones are past
        self.sick: Problem | None = None
        self.ids: dict[str, str] = {}  # container → id, of those that must not end

    def note(self, **values: Unpack[Noted]) -> None:
        """Write these down, in /run too. Raises the Problem that has ended the attempt, where one has."""
        with self.lock:
            if self.sick:
                raise Problem(str(self.sick), **self.sick.more)
            self.noted.update(values)
            releases.save_attempt(self.host, self.noted)

    def must_not_end(self, names: Iterable[str], found: dict[str, Container] | None) -> None:
        """From now on these containers must not end. `found`: what facts.containers returned."""
        if found is not None:
            self.ids = {**self.ids, **{name: found.get(name, ("",))[0] for name in names}}

    def release(self) -> Release:
        """The release that the deploy brings."""
        return {"tag": self.noted["tag"], "image_id": self.noted["image_id"]}


def settings(host: Host, attempt: Attempt) -> tuple[str | None, str | None]:
    """(text, path) of the settings that the release will have; (None, None) where there are none."""
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
