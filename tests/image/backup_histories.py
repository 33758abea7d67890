"""An action of docker-backup that is killed at one of its commands, for tests with a real Postgres."""

import contextlib
import threading

from slipway.deploy.backup import shell
from slipway.deploy.backup.shell import Problem

MOMENT = 0.3  # seconds that the last command gets; what it began in a container goes on without it


class Killed(BaseException):
    """The process is dead: what it would do afterwards does not happen."""


class Killer:
    """Counts the commands of an action, and kills it at one of them: before it, or while it runs."""

    def __init__(self, server, monkeypatch):
        self.left, self.during, self.lock = None, False, threading.Lock()
        real, systemctl = shell.run, server.systemctl
        monkeypatch.setattr(shell, "run", lambda *words, **more: self.next(real, *words, **more))
        server.systemctl = lambda words: self.next(systemctl, words)

    @contextlib.contextmanager
    def at(self, kill):
        """Kill what the block does at a command: (its number, True for: while it runs). None: do not."""
        self.left, self.during = kill or (None, False)
        try:
            yield
        finally:
            self.left = None

    def next(self, real, *words, **more):
        with self.lock:
            if self.left is not None:
                self.left -= 1
            left = self.left
        if left is None or left > 0:
            return real(*words, **more)
        if left == 0 and self.during:
            with contextlib.suppress(Problem):
                real(*words, **(more if real.__name__ == "systemctl" else {**more, "seconds": MOMENT}))
        raise Killed
