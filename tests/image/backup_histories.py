"""The actions of docker-backup, and how one is killed at one of its commands, for tests with a real Postgres."""

import contextlib
import json
import threading
import time
from unittest import mock

from slipway.deploy.backup import archive, drill, pgbackrest, restore, shell
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
        """Kill what the block does at a command: (its number, True for: while it runs). None: leave that to a block
        around this one."""
        if kill is None:
            yield
            return
        self.left, self.during = kill
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


def work(run, repository, action):
    """Return a function that does an action, and the name of its lock, "" if it has one by itself. What is no action is
    what to restore beside."""
    actions = {
        "wal": (archive.ship, ""),
        "base": (archive.make_base, "base"),
        "full": (make_full, "base"),
        "prune": (prune, "base"),
        "drill": (drill.run, "drill"),
        "swap": (restore.swap, "restored"),
        "discard": (restore.discard, "restored"),
    }
    if action not in actions:
        return lambda: restore.beside(run, repository, action), "restored"
    function, lock = actions[action]
    return lambda: function(run, repository), lock


def make_full(run, repository):
    with mock.patch.object(archive, "due", lambda backups, now: "full"):
        archive.make_base(run, repository)


def prune(run, repository):
    repository.prune()
    pgbackrest.call(run, "base", ["expire"])


def is_offered(server, at):
    """Return True if docker-backup lists a time in seconds as one that can be restored."""
    with mock.patch.object(restore, "say") as say:
        restore.offer(server.fresh(), server.repository)
    listed = json.loads(say.call_args.args[0])
    gap = any(begin < at <= (end or time.time()) for begin, end in listed["lost_since"])
    return not gap and any(base["at"] <= at <= base["until"] for base in listed["bases"])
