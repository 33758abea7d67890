"""Stand-ins for a host's programs and for the place of backups, for tests of docker-backup's steps."""

import os
import shutil
import subprocess
from types import SimpleNamespace

from slipway.deploy.backup import pgbackrest, shell
from slipway.deploy.backup.branches import BYTES, Backup, name
from slipway.deploy.backup.pgbackrest import Seen
from slipway.deploy.backup.settings import Settings
from slipway.deploy.backup.shell import Problem

BEGIN_BASE = "start --no-block docker-backup-base@shop.service"
VALUES = {"to": "sftp:nas:shop", "wal": 300, "any_second": 7, "keep": "7d", "postgres": True, "files": ()}


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


class Place:
    """pgBackRest and restic, with base backups and segments of WAL. `problem`: why it takes no more."""

    def __init__(self, monkeypatch, *numbers, system="7"):
        self.backups, self.system, self.problem, self.kept = [backup_in(1)], system, "", []
        self.numbers, self.asked = numbers, []
        monkeypatch.setattr(pgbackrest, "look", self.look)
        monkeypatch.setattr(pgbackrest, "call", lambda settings, action, words, *_, **__: self.called(words))

    def look(self, settings, action, patience=0):
        self.asked.append(("look", patience))
        if self.problem:
            raise Problem(self.problem)
        files = {f"{name(1, number)}-00.zst": {"size": 1, "time": 1, "type": "file"} for number in self.numbers}
        return Seen(self.backups, self.system, files, {})

    def called(self, words):
        self.asked.append(tuple(words))
        if self.problem:
            raise Problem(self.problem)
        return ""

    # ---- restic ----

    def snapshots(self, kind):
        return []

    def backup(self, paths, kind, cwd=None, shown=False):
        self.kept.append((paths, kind))

    def make_if_missing(self, patience=0):
        self.asked.append(("made",))

    def is_made(self):
        return True

    def call(self, *words, **options):
        return ""

    def prune(self):
        self.asked.append(("pruned",))


def backup_in(number, at=1000.0, kind="full"):
    return Backup("20261124-030000F", kind, at, name(1, number), number * BYTES + 100, 5)


def settings_in(tmp_path):
    """Return the settings of an app on a host with this folder, which has a database."""
    settings = Settings("shop", root=str(tmp_path), **VALUES)
    settings.make_folder()
    os.makedirs(settings.etc)
    image = "IMAGE_ID=sha256:1\nOWNER=999:999\nVOLUME=/var/lib/postgresql/data\n"
    (tmp_path / "etc/default/shop-postgres.image").write_text(image)
    (tmp_path / "etc/default/shop.backup").write_text("RESTIC_PASSWORD=a-password\n")
    return settings


def host_with(monkeypatch):
    """Return a Host whose programs all work, and whose disk is large."""
    host = Host(monkeypatch)
    host.answers = {
        "pg_control_system": "2000.5 0/2000228 000000010000000000000002 7 800",
        "SHOW archive_mode": "on",
        "PGDATA": "",
        "image inspect": "PATH=/bin\nPGDATA=/var/lib/postgresql/data\n",
        "docker info": "/var/lib/docker",
        "volume inspect": "/var/lib/docker/volumes/x/_data",
    }
    room(monkeypatch, 100 << 30)
    return host


def room(monkeypatch, free, total=1000 << 30):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=total, free=free))
