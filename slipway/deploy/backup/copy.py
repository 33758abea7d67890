"""A copy of the database beside the living one: a volume, and a container that only this host's root can ask.

`name` is "restored" or "drill", as its action. /var/backups/APP/NAME.json describes the copy. Its
Postgres stays in recovery, at the end of its way, until it is promoted."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from slipway.lasting.files import write_replace

from . import pgbackrest, postgres, progress, shell
from .branches import Choice, lsn_of
from .settings import Settings
from .shell import Problem, megabytes, say, told

TOO_MANY_FILES = "sftp error [4]"
PROCESSES = "--process-max=4"  # of a restore
CONNECTIONS = 100  # Postgres' own default
MEMORY = 512 << 20  # bytes of the container
PATIENCE = 20  # seconds to wait for a segment that the place does not give
STARTS = 300  # seconds to wait for a segment before Postgres answers, when nobody knows if it is on its way
WAITS = ("RecoveryRetrieveRetryInterval", "RecoveryWalStream")  # what Postgres waits for at the end of all WAL
# Old passwords are back, so that the host's own ones are set again. What led the recovery is not needed any more.
SET_UP = r"""
\set superuser `printenv POSTGRES_PASSWORD`
\set app `printenv APP_PASSWORD`
ALTER ROLE postgres PASSWORD :'superuser';
SELECT format('ALTER ROLE %I PASSWORD %L', :'name', :'app') WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = :'name')
    \gexec
SELECT format('ALTER SYSTEM RESET %I', name) FROM pg_file_settings
    WHERE sourcefile LIKE '%postgresql.auto.conf'
        AND (name LIKE 'recovery%' OR name IN ('restore_command', 'archive_mode'))
    \gexec
"""
COUNT = r"""
SELECT format('SELECT %L, count(*) FROM %I.%I', nspname || '.' || relname, nspname, relname)
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind = 'r' AND relpersistence = 'p' AND nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
    \gexec
"""
UNLOGGED = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relpersistence = 'u'"
XMAX = "SELECT pg_snapshot_xmax(pg_current_snapshot())"
NEWEST = "SELECT coalesce(extract(epoch FROM pg_last_xact_replay_timestamp()), 0)"
# If replay is paused, up to where it came, and what it waits for.
WHERE = """
SELECT pg_get_wal_replay_pause_state() = 'paused', coalesce(pg_last_wal_replay_lsn(), '0/0'),
    coalesce((SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup'), '-')
"""
START = 'echo "local all postgres trust" >/tmp/pg_hba.conf && exec postgres "$@"'
TAKE_WAL = 'cp -a "$1"/0* "$2" && chown -R "$3" "$2"'
RESTORE = 'mkdir -p "$PGDATA"; chmod 700 "$PGDATA"; exec pgbackrest "$@"'


@dataclass(frozen=True)
class Copy:
    """A copy of the app's database."""

    settings: Settings
    name: str

    @property
    def container(self) -> str:
        return f"{self.settings.app}-{self.name}"

    @property
    def file(self) -> Path:
        return Path(self.settings.folder, f"{self.name}.json")

    def make(self, choice: Choice) -> dict[str, Any]:
        """Restore into a new volume, and start a container on it. Return what has been restored, which goes to `file`,
        too. A copy of before is removed."""
        self.remove()
        self.check_room(choice)
        volume, began = f"{self.settings.service}-{time.strftime('%Y%m%d-%H%M%S')}-{self.name}", time.time()
        self.note({"volume": volume})  # so that the next one removes what is left
        self.fetch(choice, volume)
        say("replaying the changes since then")
        self.start(volume, ["hot_standby=on"])
        self.wait(choice)
        made = {**self.described(choice), "volume": volume, "seconds": round(time.time() - began, 1)}
        self.note(made)
        return made

    def note(self, values: Mapping[str, Any]) -> None:
        write_replace(self.file, json.dumps(values), 0o600)

    def read(self) -> dict[str, Any]:
        """Return what `make` has returned, and what was noted since; or {}."""
        made: dict[str, Any] = json.loads(self.file.read_text(encoding="utf-8")) if self.file.exists() else {}
        return made

    def remove(self) -> None:
        """Remove the container, and the volume unless the service runs on it."""
        shell.remove_containers(self.container, pgbackrest.container(self.settings, self.name))
        volume = self.read().get("volume")
        if volume and volume != self.settings.image["DATA"]:
            shell.run(["docker", "volume", "rm", "-f", volume], seconds=300)
        self.file.unlink(missing_ok=True)

    def stop(self) -> None:
        """Let the database end in order, and remove the container, unless that was done."""
        if shell.output(["docker", "ps", "--all", "--quiet", "--filter", f"name=^{self.container}$"]):
            shell.output(["docker", "stop", "-t", "60", self.container], seconds=90)
            shell.remove_containers(self.container)

    # ---- the files ----

    def check_room(self, choice: Choice) -> None:
        """Raise Problem if disk or memory do not suffice for a second database beside the living one."""
        path, problems = shell.output(["docker", "info", "--format", "{{.DockerRootDir}}"]), []
        if (free := shutil.disk_usage(path).free) < choice.bytes:
            problems.append(f"{path} has {megabytes(free)} free, a restore needs {megabytes(choice.bytes)}")
        memory = Path(f"{self.settings.root}/proc/meminfo").read_text(encoding="ascii")
        match = re.search(r"^MemAvailable:\s+(\d+) kB", memory, re.MULTILINE)
        available = int(match[1]) << 10 if match else 0
        if available < MEMORY:
            problems.append(f"{megabytes(available)} of memory are available, a restore needs {megabytes(MEMORY)}")
        if problems:
            raise Problem("; ".join(problems))

    def fetch(self, choice: Choice, volume: str) -> None:
        """Bring the base backup into a new volume, and what the volume of a dead database has not sent yet, so that
        nothing that it had written is lost."""
        shell.output(["docker", "volume", "create", volume])
        top = postgres.volume_path(volume)
        say(f"fetching the base backup, {megabytes(choice.base.bytes)}")
        with progress.shown(lambda: progress.size(top), choice.base.bytes):
            self.bring(["restore", "--delta", PROCESSES, *choice.options()], volume, lambda: progress.size(top))
        if choice.known:
            old, new = (f"{postgres.data_folder(self.settings, each)}/pg_wal" for each in (choice.known, volume))
            shell.output(["sh", "-c", TAKE_WAL, "sh", old, new, self.settings.image["OWNER"]], seconds=600)

    def bring(self, words: Sequence[str], volume: str, size: Callable[[], int]) -> None:
        """Run pgBackRest's restore. By sftp, before 2.59, it closes no file that it has read, so that it ends where the
        server allows no more: then it goes on from there, as long as there is progress."""
        before = 0
        while True:
            try:
                pgbackrest.call(self.settings, self.name, words, volume, script=RESTORE)
                return
            except Problem as problem:
                now = size()
                if TOO_MANY_FILES not in str(problem) or now <= before:
                    raise
                before = now

    def control(self, volume: str) -> str:
        """Return what pg_controldata says of the files."""
        return pgbackrest.call(self.settings, self.name, [], volume, seconds=60, script="exec pg_controldata")

    # ---- the container ----

    def start(self, volume: str, options: Sequence[str]) -> None:
        shell.remove_containers(self.container)
        image = self.settings.image
        fixed = ["listen_addresses=", "unix_socket_directories=/tmp", "hba_file=/tmp/pg_hba.conf"]
        fixed += ["shared_buffers=64MB", "max_wal_size=256MB", "wal_retrieve_retry_interval=500ms"]
        options = [*fixed, *limits(self.settings, self.control(volume)), *options]
        command = [
            *pgbackrest.confined(self.settings, self.container, pgbackrest.MORE),
            *("--detach", "--shm-size=128m", "--stop-signal=SIGINT"),
            *("--env-file", f"{self.settings.etc}/{self.settings.service}.env"),
            *("-v", f"{volume}:{image['VOLUME']}", "--entrypoint=sh", image["IMAGE_ID"], "-c", START, "sh"),
            *(word for option in options for word in ("-c", option)),
        ]
        shell.output(command)

    def wait(self, choice: Choice) -> None:
        """Wait until Postgres says that it has come to the target, however long that takes. Raise Problem, which says
        how far it came, if it cannot."""
        asked, since = "", time.monotonic()  # where it asked in vain for more, and since when
        while True:
            answer = self.asked(WHERE)
            paused, came, event = answer.split() if answer else ("f", self.segment(), "-")
            waits, patience = (event in WAITS, PATIENCE) if answer else (came != "", STARTS)
            if paused == "t" and "insufficient parameter settings" in self.log():  # it pauses for want of these, too
                raise Problem("the restored database needs more connections than the living one has: see docker logs")
            if paused == "t":
                return
            if waits and came != asked:
                asked, since = came, time.monotonic()
            if answer and waits and choice.target.is_latest and lsn_of(came) > choice.end:
                return
            if waits and time.monotonic() - since > patience:
                newest = float(self.sql(NEWEST) or 0) if answer else 0
                raise Problem(f"the newest second is not reached, as WAL is missing or damaged: {came_to(newest)}")
            time.sleep(0.2)

    def segment(self) -> str:
        """Return the segment of WAL for which Postgres waits before it answers, as the title of its process says."""
        script = "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'"
        titles = shell.run(["docker", "exec", self.container, "sh", "-c", script], seconds=60).stdout
        waits = re.search(r"startup waiting for (\w+)", titles)
        return waits[1] if waits else ""

    def asked(self, query: str) -> str:
        """Return the answer to a query, "" while Postgres starts. Raise Problem if it has ended."""
        with contextlib.suppress(Problem):
            return self.sql(query)
        if not shell.is_running(self.container):
            raise Problem(ended(self.log()))
        return ""

    def promote(self, volume: str) -> None:
        """Let the copy take changes: on a timeline of its own, which goes to the archive at once, so that no other one
        gets its number. Its passwords become the host's."""
        self.stop()
        top = postgres.data_folder(self.settings, volume)
        if os.path.exists(f"{top}/standby.signal"):
            os.rename(f"{top}/standby.signal", f"{top}/recovery.signal")
        send = f"archive_command=pgbackrest --stanza={self.settings.app} archive-push %p"
        self.start(volume, ["hot_standby=off", "recovery_target_action=promote", "archive_mode=on", send])
        while self.asked("SELECT pg_is_in_recovery()") != "f":
            time.sleep(0.2)
        self.sql(f"\\set name {self.settings.app}\n{SET_UP}")

    def log(self) -> str:
        return shell.run(["docker", "logs", self.container], seconds=60).stderr

    def sql(self, query: str, database: str = "postgres") -> str:
        words = ["docker", "exec", "-i", self.container, "psql", "-h", "/tmp", "-U", "postgres", "-d", database]
        return shell.output([*words, "-qAtX", "-F", " ", "-v", "ON_ERROR_STOP=1"], query, seconds=math.inf)

    # ---- what it has ----

    def described(self, choice: Choice) -> dict[str, Any]:
        """Count what has been restored. `newest`: when its last change was made."""
        counts = [line.rpartition(" ")[2] for line in shell.lines_of(self.sql(COUNT, self.settings.app))]
        return {
            "newest": float(self.sql(NEWEST)) or choice.base.at,
            "tables": len(counts),
            "rows": sum(map(int, counts)),
            "unlogged": int(self.sql(UNLOGGED, self.settings.app)),
            "migrations": shell.lines_of(self.sql(postgres.migrations(), self.settings.app)),
            "timeline": choice.target.timeline,
        }


def limits(settings: Settings, control: str) -> list[str]:
    """Return options by which a standby may replay the WAL of the living one: at least what that one has."""
    found = dict(re.findall(r"^(max_\w+) setting:\s+(\d+)$", control, re.MULTILINE))
    described = Path(settings.etc, settings.service).read_text(encoding="utf-8")
    numbers = [found.get("max_connections", "0"), *re.findall(r"max_connections=(\d+)", described)]
    found["max_connections"] = str(max(CONNECTIONS, *map(int, numbers)))
    found["max_prepared_transactions"] = found.pop("max_prepared_xacts", "0")
    found["max_locks_per_transaction"] = found.pop("max_locks_per_xact", "64")
    return [f"{name}={value}" for name, value in found.items()]


def ended(log: str) -> str:
    """Return why a copy's Postgres has ended, by its log."""
    if "recovery ended before configured recovery target was reached" in log:
        found = re.findall(r"last completed transaction was at log time (.{19}\.?\d*)[+-]\d\d", log)
        newest = datetime.fromisoformat(f"{found[-1][:19]}+00:00").timestamp() if found else 0
        return f"that moment is not reached, as WAL is missing or damaged, or was not sent: {came_to(newest)}"
    return f"the restored database does not start: {cause(log)}"


def came_to(newest: float) -> str:
    if not newest:
        return "the restore came to no change after its base backup"
    return f"the restore came to {told(newest)}: slipway restore --at that time, or an earlier one"


def cause(log: str) -> str:
    """Return the line of Postgres' log that says why it ended."""
    fatal = [line for line in shell.lines_of(log) if " FATAL: " in line or " PANIC: " in line]
    return shell.last_line(fatal[-1] if fatal else log)
