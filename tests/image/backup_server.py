"""A host's database with its backups, for tests with a real Postgres, pgBackRest and restic: what systemd does there is
done here by Docker. Its files are below a folder."""

import os
import secrets
import shutil
import time
from dataclasses import replace
from pathlib import Path

from engine import docker
from proc import passed, run, wait_until
from slipway.deploy.backup import (
    archive,
    configuration,
    leftovers,
    postgres,
    repository,
    restore,
    set_up,
    shell,
    state,
)
from slipway.deploy.backup.repository import Repository
from slipway.deploy.backup.settings import Settings
from slipway.deploy.backup.shell import Problem
from slipway.deploy.server import services

IMAGE = "shop-postgres:pgbackrest"
BUILD = """\
FROM postgres:17
RUN apt-get -qq update && apt-get -qq install -y --no-install-recommends pgbackrest && rm -rf /var/lib/apt/lists/*
"""
PASSWORD = "a-password"
ROOM = "size=1g"  # of a place with a disk of its own
WORDS = {"wal": 60, "any_second": 7, "keep": "7d", "postgres": True, "files": ()}


def build():
    """Return the id of Postgres' image with pgBackRest."""
    docker("build", "--quiet", "--tag", IMAGE, "-", input=BUILD, stdin=None, timeout=600)
    return docker("image", "inspect", "--format", "{{.Id}}", IMAGE).stdout


class Server:
    """A server with a database `app`, and a folder as the place of its backups, or with `to` another one, for which it
    has `keys`."""

    def __init__(self, folder, monkeypatch, image, to="", **keys):
        self.root, self.disk = Path(folder), Path(folder, "nas")
        self.place = self.disk / "shop"
        self.app = f"t{secrets.token_hex(4)}"  # Hypothesis seeds random: two runs would get one name
        self.began_base = 0
        self.settings = Settings(self.app, to=to or str(self.place), root=str(self.root), **WORDS)
        self.repository = Repository(self.settings)
        owner = docker("run", "--rm", "--entrypoint=sh", image, "-c", "echo $(id -u postgres):$(id -g postgres)").stdout
        self.owner = owner
        for path in (self.settings.etc, f"{self.root}/proc", self.settings.sockets, f"{self.settings.folder}/place"):
            os.makedirs(path, exist_ok=True)
        os.chown(self.settings.sockets, *map(int, owner.split(":")))
        os.symlink("/proc/meminfo", f"{self.root}/proc/meminfo")
        self.write(".image", f"IMAGE_ID={image}\nOWNER={owner}\nVOLUME=/var/lib/postgresql/data\n")
        self.write(".env", "POSTGRES_PASSWORD=a\nAPP_PASSWORD=b\n")
        self.write("", "COMMAND='-c max_connections=50'\n")
        Path(self.settings.etc, f"{self.app}.backup").write_text(
            "".join(f"{name}={value}\n" for name, value in {"RESTIC_PASSWORD": PASSWORD, **keys}.items())
        )
        os.makedirs(self.disk, exist_ok=True)
        os.makedirs(f"{self.settings.etc}/{self.settings.service}.pgbackrest")
        monkeypatch.setattr(leftovers, "LOCKS", f"{self.root}/run")
        monkeypatch.setattr(repository, "CACHE", f"{self.root}/cache")
        real = shell.output
        monkeypatch.setattr(
            shell,
            "output",
            lambda words, *rest, **more: (
                self.systemctl(words) if words[0] == "systemctl" else real(words, *rest, **more)
            ),
        )
        monkeypatch.setattr(configuration, "bind", lambda settings: None)  # the container has the place itself
        self.made_volumes = [self.settings.service]

    def write(self, end, text):
        Path(self.settings.etc, f"{self.settings.service}{end}").write_text(text)

    def fresh(self):
        """Return the settings as another process would read them."""
        self.settings = replace(self.settings)
        return self.settings

    def systemctl(self, words):
        if "restart" in words:
            self.start()
        elif "start" in words:
            self.began_base += 1
        return ""

    # ---- the service ----

    def initdb(self):
        docker("volume", "create", self.settings.service)
        script = "printf a >/tmp/p; initdb -U postgres --pwfile=/tmp/p --auth=scram-sha-256 -E UTF8 -k"
        self.in_volume(self.settings.service, script)

    def in_volume(self, volume, script):
        words = ["--rm", "--user", self.owner, "-v", f"{volume}:/var/lib/postgresql/data", "--entrypoint=sh"]
        return docker("run", *words, self.settings.image["IMAGE_ID"], "-euc", script).stdout

    def start(self):
        """Start the service as docker-runner does, with the volume that its image's file names."""
        docker("rm", "-f", self.settings.service)
        image, (user, group) = self.fresh().image, self.owner.split(":")
        hba = Path(self.root, "hba")
        hba.write_text("local all all scram-sha-256\n")
        options = ["unix_socket_directories=" + self.settings.sockets, "listen_addresses=", "hba_file=/hba"]
        options += ["archive_mode=on", "archive_command=" + services.ARCHIVE.format(app=self.app), "max_connections=50"]
        place = self.place / "database"
        place.mkdir(parents=True, exist_ok=True)
        os.chown(place, int(user), int(group))
        elsewhere = not self.settings.to.startswith("/")
        docker(
            *("run", "--detach", "--name", self.settings.service, "--user", self.owner, "--read-only", "--tmpfs=/tmp"),
            *(
                "--tmpfs",
                f"/spool:uid={user},gid={group},mode=700",
                "--cap-drop=ALL",
                *([] if elsewhere else ["--network=none"]),
            ),
            *("-v", f"{self.settings.sockets}:{self.settings.sockets}", "-v", f"{hba}:/hba:ro"),
            *(
                "--mount",
                f"type=bind,source={configuration.path(self.settings).parent},target=/etc/pgbackrest,readonly",
            ),
            *("-v", f"{place}:/repository", "-v", f"{image['DATA']}:{image['VOLUME']}", "--stop-signal=SIGINT"),
            *(
                "--env-file",
                f"{self.settings.etc}/{self.settings.service}.env",
                "--entrypoint=postgres",
                image["IMAGE_ID"],
            ),
            *(word for option in options for word in ("-c", option)),
        )
        wait_until(self.answers, 60, "the database answers")

    def answers(self):
        try:
            return postgres.sql(self.settings, "SELECT 1")
        except Problem:
            return False

    def stop(self):
        docker("rm", "-f", self.settings.service)

    def begin(self):
        """A server with its first base backup."""
        self.initdb()
        self.start()
        postgres.sql(self.settings, f"CREATE DATABASE {self.app}")
        self.sql("CREATE TABLE rows (id int)")
        set_up.prepare(self.settings, self.repository)
        archive.make_base(self.settings, self.repository)

    def sql(self, query):
        return postgres.sql(self.settings, query, self.app)

    def add(self, *rows):
        for row in rows:
            self.sql(f"INSERT INTO rows VALUES ({row})")

    def rows(self):
        return [int(row) for row in self.sql("SELECT id FROM rows ORDER BY id").split()]

    def now(self):
        """Return a time after all that was written, and before what is written next."""
        time.sleep(0.05)
        at = float(self.sql("SELECT extract(epoch FROM clock_timestamp())"))
        time.sleep(0.05)
        return at

    # ---- the place ----

    def mount_place(self):
        """Give the place a disk of its own, which `fill_place` makes full."""
        passed(run(["mount", "-t", "tmpfs", "-o", ROOM, "tmpfs", self.disk]))

    def fill_place(self, is_full):
        room = f"size={shutil.disk_usage(self.disk).used}" if is_full else ROOM
        passed(run(["mount", "-o", f"remount,{room}", self.disk]))

    def move_place(self, is_away):
        """Let the place be away, or be there again."""
        names = [self.place, self.disk / "away"]
        old, new = names if is_away else names[::-1]
        old.rename(new)

    # ---- backups ----

    def ship(self):
        archive.ship(self.fresh(), self.repository)

    def base(self):
        archive.make_base(self.fresh(), self.repository)

    def beside(self, at):
        restore.beside(self.fresh(), self.repository, at if isinstance(at, str) else f"@{at}")
        return restore.copy(self.settings).read()

    def swap(self):
        restore.swap(self.fresh(), self.repository)
        self.fresh()

    def restore(self, at):
        self.beside(at)
        self.swap()

    def state(self, action):
        return state.load(self.settings).get(action, {})

    def archived(self):
        return sorted(Path(self.place, "database/archive", self.app).rglob("0*-*.zst"))

    def clean(self):
        names = docker("ps", "--all", "--format", "{{.Names}}", "--filter", f"name={self.app}").stdout.split()
        if names:
            docker("rm", "-f", *names)
        volumes = docker("volume", "ls", "--quiet", "--filter", f"name={self.app}").stdout.split()
        if volumes:
            docker("volume", "rm", "-f", *volumes)
        if os.path.ismount(self.disk):
            passed(run(["umount", self.disk]))
        shutil.rmtree(self.root, ignore_errors=True)
