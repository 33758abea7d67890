"""What this deploy has done so far: /run/APP/attempt."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from . import disk, releases
from .host import Host, Problem
from .shapes import Container, Noted, Release, Unpack, Watching


class Attempt:
    """A deploy under way; `noted` is /run/APP/attempt, written whenever it changes."""

    def __init__(self, host: Host, **values: Unpack[Noted]) -> None:
        self.host, self.noted, self.lock = host, values, threading.Lock()
        self.watcher: Watching | None = None
        self.sick: Problem | None = None
        self.ids: dict[str, str] = {}  # container → its id, of those that must not end

    def note(self, **values: Unpack[Noted]) -> None:
        """Keep these, on the disk too. Raises the Problem that ended it."""
        with self.lock:
            if self.sick:
                raise Problem(str(self.sick), **self.sick.more)
            self.noted.update(values)
            releases.save_attempt(self.host, self.noted)

    def born(self, listed: dict[str, Container] | None, names: Iterable[str]) -> None:
        """From now on these containers must not end; `listed`: facts.containers, None where the engine is away."""
        if listed is not None:
            self.ids = {**self.ids, **{name: listed.get(name, ("",))[0] for name in names}}

    def release(self) -> Release:
        """The one to come."""
        return {"tag": self.noted["tag"], "image_id": self.noted["image_id"]}


def settings(host: Host, attempt: Attempt) -> tuple[str | None, str | None]:
    """(text, the file it is from) of the settings that the release will have."""
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
