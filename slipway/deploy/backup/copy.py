"""A copy of the database beside the living one: a volume, and a container that only this host's root can ask.

`name` is "restored" for a restore, "drill" for a drill. /var/backups/APP/NAME.json describes the copy."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.lasting.files import write_replace

from . import postgres, progress, shell, wal
from .choice import Choice, lsn
from .repository import Repository
from .settings import Settings
from .shell import Problem, megabytes, say

MEMORY = 512 << 20  # bytes of the second container
# Postgres' words if a time is later than the last change: then the end is what was asked for.
TOO_LATE = "recovery ended before configured recovery target was reached"
RESTORED = "restored log file"  # its words for each segment that restore_command has brought
# Old passwords are back, so that the host's own ones are set again.
PASSWORDS = r"""
\set superuser `printenv POSTGRES_PASSWORD`
\set app `printenv APP_PASSWORD`
ALTER ROLE postgres PASSWORD :'superuser';
SELECT format('ALTER ROLE %I PASSWORD %L', :'name', :'app') WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = :'name')
    \gexec
"""
COUNT = r"""
SELECT format('SELECT %L, count(*) FROM %I.%I', table_schema || '.' || table_name, table_schema, table_name)
    FROM information_schema.tables
    WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1 \gexec
"""
XMAX = "SELECT pg_snapshot_xmax(pg_current_snapshot())"
NEWEST = "SELECT coalesce(extract(epoch FROM pg_last_xact_replay_timestamp()), 0)"


@dataclass(frozen=True)
class Copy:
    """A copy of the app's database."""

    settings: Settings
    name: str

    @property
    def container(self) -> str:
        return f"{self.settings.app}-{self.name}"

    @property
    def file(self) -> str:
        return f"{self.settings.folder}/{self.name}.json"

    @property
    def folder(self) -> str:
        """The folder of the WAL that has come from the repository, and of other files of the container."""
        return f"{self.settings.folder}/{self.name}"

    def make(self, repository: Repository, choice: Choice) -> dict[str, Any]:
        """Restore into a new volume, and start a container on it. Return what has been restored, which goes to `file`,
        too. A copy of before is removed."""
        self.remove()
        check_room(self.settings, choice)
        volume, began = f"{self.settings.service}-{time.strftime('%Y%m%d-%H%M%S')}", time.time()
        self.note({"volume": volume})  # so that the next one removes what is left
        self.fetch(repository, choice, volume)
        say(f"replaying the changes since then, {megabytes(changes(choice))}")
        with progress.shown(self.replayed, changes(choice)):
            self.recover(choice, volume)
        made = {**self.described(choice), "volume": volume, "seconds": round(time.time() - began, 1)}
        self.note(made)
        return made

    def note(self, values: Mapping[str, Any]) -> None:
        write_replace(self.file, json.dumps(values), 0o600)

    def read(self) -> dict[str, Any]:
        """Return what `make` has returned, and what was noted since; or {}."""
        with contextlib.suppress(FileNotFoundError), open(self.file, encoding="utf-8") as file:
            made: dict[str, Any] = json.load(file)
            return made
        return {}

    def remove(self) -> None:
        """Remove the container, and the volume unless the service runs on it."""
        shell.run(["docker", "rm", "-f", self.container])
        volume = self.read().get("volume")
        if volume and volume != self.settings.image["DATA"]:
            shell.run(["docker", "volume", "rm", "-f", volume])
        self.forget()

    def stop(self) -> None:
        """Let the database end in order, and remove the container, unless that was done."""
        if shell.output(["docker", "ps", "--all", "--quiet", "--filter", f"name=^{self.container}$"]):
            shell.output(["docker", "stop", "-t", "60", self.container], seconds=90)
            shell.output(["docker", "rm", "-f", self.container])

    def forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if os.path.exists(self.file):
            os.unlink(self.file)

    # ---- the files ----

    def fetch(self, repository: Repository, choice: Choice, volume: str) -> None:
        """Bring the base backup into a new volume, and the WAL into a folder here."""
        shell.output(["docker", "volume", "create", volume])
        top = shell.output(["docker", "volume", "inspect", "--format", "{{.Mountpoint}}", volume])
        size = int(choice.base.tags["bytes"])
        say(f"fetching the base backup, {megabytes(size)}")
        with progress.shown(lambda: progress.size(f"{top}/new"), size):
            repository.restore(choice.base, f"{top}/new")
        self.place(top)
        postgres.folder(self.settings, self.name)
        postgres.folder(self.settings, f"{self.name}/wal")
        if choice.wal:
            say("fetching the changes since then")
            with progress.shown(lambda: progress.size(f"{self.folder}/wal"), changes(choice)):
                repository.restore(choice.wal, self.folder, ["/wal"])
        for name in wal.segments(os.listdir(f"{self.folder}/wal")):  # the last one was still being written
            if name.endswith(".partial"):
                os.rename(f"{self.folder}/wal/{name}", f"{self.folder}/wal/{name.partition('.')[0]}")

    def place(self, top: str) -> None:
        """Move the files to where the image expects them in the volume, which is at `top`, and have them recovered."""
        data = data_folder(self.settings, top)
        os.makedirs(data, exist_ok=True)
        for name in os.listdir(f"{top}/new/base"):
            os.rename(f"{top}/new/base/{name}", f"{data}/{name}")
        shutil.rmtree(f"{top}/new")
        with open(f"{data}/recovery.signal", "w", encoding="ascii"):
            pass
        for folder in {top, os.path.dirname(data), data}:
            if folder.startswith(top):
                os.chown(folder, *postgres.owner(self.settings))
        os.chmod(data, 0o700)

    # ---- the container ----

    def recover(self, choice: Choice, volume: str) -> None:
        """Run the container until the database has reached the target and takes changes."""
        options = [f"recovery_target_timeline={choice.base.tags['timeline']}", "recovery_target_action=promote"]
        self.start(volume, [*options, *choice.target.options()])
        if not self.is_promoted():
            is_late = TOO_LATE in self.log()
            if is_late:
                self.start(volume, options)
            if not is_late or not self.is_promoted():
                raise Problem(f"the restored database does not start: {cause(self.log())}")
        self.sql(f"\\set name {self.settings.app}\n{PASSWORDS}")

    def start(self, volume: str, options: Sequence[str]) -> None:
        shell.run(["docker", "rm", "-f", self.container])
        access = f"{self.folder}/pg_hba.conf"
        write_replace(access, "local all postgres trust\n", 0o644)
        # No hot standby: it would need the living one's max_connections and the like, or Postgres ends.
        fixed = [
            "hot_standby=off",
            *("listen_addresses=", "unix_socket_directories=/tmp", "hba_file=/etc/pg_hba.conf", "shared_buffers=64MB"),
            "restore_command=cp /wal/%f %p",
        ]
        image = self.settings.image
        command = [
            *("docker", "run", "-d", "--name", self.container, "--network=none", "--user", image["OWNER"]),
            *("--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only", "--tmpfs=/tmp"),
            *(f"--memory={MEMORY}", "--shm-size=128m", "--stop-signal=SIGINT"),
            *("--env-file", f"{self.settings.etc}/{self.settings.service}.env"),
            *("-v", f"{volume}:{image['VOLUME']}", "-v", f"{self.folder}/wal:/wal:ro"),
            *("-v", f"{access}:/etc/pg_hba.conf:ro", "--entrypoint=postgres", image["IMAGE_ID"]),
            *(word for option in [*fixed, *options] for word in ("-c", option)),
        ]
        shell.output(command)

    def is_promoted(self) -> bool:
        """Wait for the end of recovery, however long that takes. Return False if the container ends before."""
        while True:
            with contextlib.suppress(Problem):
                if self.sql("SELECT pg_is_in_recovery()") == "f":
                    return True
            asked = ["docker", "inspect", "--format", "{{.State.Running}}", self.container]
            if shell.run(asked).stdout.strip() != "true":
                return False
            time.sleep(0.2)

    def replayed(self) -> int:
        """Return the bytes of WAL that Postgres has asked for, by its log."""
        return self.log().count(RESTORED) * wal.BYTES

    def log(self) -> str:
        return shell.run(["docker", "logs", self.container]).stderr

    def sql(self, query: str, database: str = "postgres") -> str:
        words = ["docker", "exec", "-i", self.container, "psql", "-h", "/tmp", "-U", "postgres", "-d", database]
        return shell.output([*words, "-qAtX", "-F", " ", "-v", "ON_ERROR_STOP=1"], query, seconds=None)

    # ---- what it has ----

    def described(self, choice: Choice) -> dict[str, Any]:
        """Count what has been restored. `newest`: when its last change was made."""
        counts = [line.rpartition(" ")[2] for line in shell.lines_of(self.sql(COUNT, self.settings.app))]
        return {
            "until": choice.until,
            "newest": float(self.sql(NEWEST)) or float(choice.base.tags["at"]),
            "tables": len(counts),
            "rows": sum(map(int, counts)),
            "migrations": shell.lines_of(self.sql(postgres.migrations(), self.settings.app)),
        }


def cause(log: str) -> str:
    """Return the line of Postgres' log that says why it ended."""
    fatal = [line for line in shell.lines_of(log) if " FATAL: " in line or " PANIC: " in line]
    return shell.last_line(fatal[-1] if fatal else log)


def changes(choice: Choice) -> int:
    """Return the bytes of WAL between the base backup and the last change."""
    return lsn(choice.wal or choice.base) - lsn(choice.base)


def check_room(settings: Settings, choice: Choice) -> None:
    """Raise Problem if disk or memory do not suffice for a second database beside the living one."""
    change = changes(choice) + 2 * wal.BYTES
    volumes = shell.output(["docker", "info", "--format", "{{.DockerRootDir}}"])
    needs = {settings.folder: change, volumes: int(int(choice.base.tags["bytes"]) * 1.1) + change}
    problems = [
        f"{path} has {megabytes(free)} free, a restore needs {megabytes(needed)}"
        for path, needed in needs.items()
        if (free := shutil.disk_usage(path).free) < needed
    ]
    available = memory_available(settings)
    if available < MEMORY:
        problems.append(f"{megabytes(available)} of memory are available, a restore needs {megabytes(MEMORY)}")
    if problems:
        raise Problem("; ".join(problems))


def memory_available(settings: Settings) -> int:
    """Return bytes."""
    with open(f"{settings.root}/proc/meminfo", encoding="ascii") as file:
        match = re.search(r"^MemAvailable:\s+(\d+) kB", file.read(), re.MULTILINE)
    return int(match[1]) << 10 if match else 0


def data_folder(settings: Settings, top: str) -> str:
    """Return where a volume, which is at `top`, has the database's files: the image's PGDATA."""
    words = ["docker", "run", "--rm", "--network=none", "--entrypoint=printenv", settings.image["IMAGE_ID"], "PGDATA"]
    inside = os.path.relpath(shell.output(words), settings.image["VOLUME"])
    return os.path.normpath(f"{top}/{inside}")
