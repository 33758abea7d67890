"""What this deploy has done so far: /run/APP/attempt."""

import threading

from . import disk, releases
from .host import Problem


class Attempt(dict):
    """/run/APP/attempt, written whenever it changes."""

    def __init__(self, host, **values):
        super().__init__(values)
        self.host, self.lock = host, threading.Lock()
        self.watcher, self.sick, self.ids = None, None, {}  # ids: container → its id, of those that must not end

    def note(self, **values):
        with self.lock:
            if self.sick:
                raise Problem(str(self.sick), **self.sick.more)
            self.update(values)
            releases.save_attempt(self.host, self)

    def born(self, listed, names):
        """From now on these containers must not end; `listed`: facts.listed, None where the engine is away."""
        if listed is not None:
            self.ids = {**self.ids, **{name: listed.get(name, ("",))[0] for name in names}}

    def release(self):
        return {"tag": self["tag"], "image_id": self["image_id"]}


def settings(host, attempt):
    """(text, the file it is from) of the settings that the release will have."""
    if attempt["action"] == "rollback":
        going_back = releases.read_tag(host.revert)
        paths = [host.env + ".revert"] if going_back and going_back["tag"] == attempt["tag"] else []
    else:
        paths = [host.env + ".next"]
    for path in [*paths, host.env]:
        text = disk.read_exact(path)
        if text is not None:
            return text, path
    return None, None
