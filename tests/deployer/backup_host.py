"""Stand-ins for a host's programs and for a repository, for tests of docker-backup's steps."""

import os
import shutil
import subprocess
import types

from slipway.deploy.backup import shell, state
from slipway.deploy.backup.settings import Settings
from slipway.deploy.backup.shell import Problem


def segment(number, timeline=1):
    """Return the name of a segment of WAL."""
    return f"{timeline:08X}{number // 256:08X}{number % 256:08X}"


VALUES = {"to": "/r", "wal": 300, "any_second": 7, "keep": "7d", "postgres": True, "files": ()}
TAGS = {
    "base": "1-100",
    "segment": segment(1),
    "system": "7",
    "timeline": "1",
    "lsn": "100",
    "at": "1000",
    "bytes": "5",
}


class Host:
    """A host's programs: `said` is what was run, `answers` part of a command or query → its output or an exception."""

    def __init__(self, monkeypatch):
        self.said, self.answers = [], {}
        monkeypatch.setattr(shell, "output", lambda words, input=None, seconds=60: self.answer(" ".join(words), input))
        monkeypatch.setattr(shell, "run", lambda words, *_, **__: self.done(" ".join(words)))

    def answer(self, command, input=None):
        self.said.append(" ".join(filter(None, [command, input])))
        for part, answer in self.answers.items():
            if part in self.said[-1]:
                if isinstance(answer, BaseException):
                    raise answer
                return answer
        return ""

    def done(self, command):
        return subprocess.CompletedProcess(command, 0, self.answer(command), "")

    def ran(self, part):
        return [command for command in self.said if part in command]


class Repository:
    """A repository with these snapshots. `problem`: why it takes no more."""

    def __init__(self, bases=(), wals=(), problem=""):
        self.kinds, self.problem, self.kept = {"base": [*bases], "wal": [*wals], "files": []}, problem, []

    def snapshots(self, kind):
        return self.kinds[kind]

    def backup(self, paths, tags, cwd=None, shown=False):
        if self.problem:
            raise Problem(self.problem)
        self.kept.append((paths, tags["kind"]))


def settings_in(tmp_path):
    """Return the settings of an app on a host with this folder, which has a database."""
    settings = Settings("shop", root=str(tmp_path), **VALUES)
    os.makedirs(settings.wal_folder)
    os.makedirs(settings.etc)
    image = "IMAGE_ID=sha256:1\nOWNER=999:999\nVOLUME=/var/lib/postgresql/data\n"
    (tmp_path / "etc/default/shop-postgres.image").write_text(image)
    return settings


def host_with(monkeypatch):
    """Return a Host whose programs all work."""
    host = Host(monkeypatch)
    host.answers = {
        "coalesce(wal_status": "reserved",
        "pg_current_wal_insert_lsn": "2000.5 0/228 0/200 7 1",
        "write_lsn": "0/200",
    }
    return host


def with_wal(settings, *numbers):
    """The host has a base backup, and WAL."""
    state.save(settings, "base", at=1, problem="", tags=TAGS)
    for number in numbers:
        open(f"{settings.wal_folder}/{segment(number)}", "w").close()


def room(monkeypatch, free, total=100 << 30):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=free, total=total))
