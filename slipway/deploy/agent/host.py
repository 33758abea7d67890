"""The host: paths and names of the app's files and units, and commands that run here."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from . import disk
from .message_types import Any, Details, Properties, Unpack
from .roles import Process, match_unit, processes_in

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root"}
UNITS = "/etc/systemd/system"
JOURNALD = "/etc/systemd/journald.conf.d/10-slipway.conf"
UNHEARD = re.compile("Connection reset by peer|Transport endpoint is not connected|disconnected from message bus")
TRIES = 50  # calls of systemctl, 0.1 s apart, while systemd restarts


class Problem(Exception):
    """An error that the user sees. `details`: such as lines of a log."""

    def __init__(self, text: str, **details: Unpack[Details]) -> None:
        super().__init__(text)
        self.details: Details = details


class Late(Problem):
    """A command took too long. `details` has what it printed meanwhile."""


class Host:
    """Paths, names and commands of an app on this host. All paths begin with `root`, which only tests set."""

    def __init__(self, app: str, root: str = "") -> None:
        self.app = app
        self.root = root
        self.etc = root + "/etc/default/" + app
        self.var = root + "/var/www/" + app
        self.run = root + "/run/" + app
        self.env = self.etc + ".env"
        self.secrets = self.etc + ".secrets"
        self.services = self.etc + ".services"
        self.next_env = self.env + ".next"
        self.revert_env = self.env + ".revert"
        self.tag = self.var + "/TAG"
        self.revert = self.var + "/REVERT"
        self.log = self.var + "/releases.log"
        self.web_sock = self.run + "/web.sock"
        self.attempt = self.run + "/attempt"
        self.attempt_files = self.attempt, self.attempt + ".new"  # an agent that dies while writing leaves .new
        self.docker_sock = root + "/run/docker.sock"
        self.nginx_sock = self.run + "/nginx.sock"
        self.lock = app + "-deploy.service"
        self.lock_broken = self.run + "/lock.broken"  # why somebody ends the unit that holds the lock
        self.retiring = app + "-retire"

    @property
    def maintenance(self) -> list[str]:
        """The paths of which one exists while visitors get the maintenance page."""
        return [f"{self.root}/etc/nginx/{self.app}{end}/maintenance" for end in ("", "-balancer")]

    def kept_env(self, name: str) -> str:
        """Return the path where a rollback saves the old settings, such as APP.env.build-3.kept."""
        return f"{self.env}.{name}.kept"

    def kept_envs(self, end: str = "") -> list[str]:
        """Return each NAME of the files APP.env.NAME.kept (see kept_env). `end`: what follows "kept", such as .next."""
        first = self.app + ".env."
        last = ".kept" + end
        return [
            name[len(first) : -len(last)]
            for name in disk.list_folder(os.path.dirname(self.env))
            if name.startswith(first) and name.endswith(last) and len(name) > len(first + last)
        ]

    def slot(self, slot: str, name: str) -> str:
        """Return the path of a file in a slot's folder, such as web.sock."""
        return f"{self.run}/{slot}/{name}"

    def slot_file(self, slot: str, kind: str) -> str:
        """Return the path of a file about the release in slot "a" or "b". For a process that runs in no slot, pass its
        role as `slot`. `kind`: "tag" (the release), "env" (its settings) or "plan" (its migrations)."""
        return f"{self.run}/{slot}.{kind}"

    def secret(self, name: str) -> str:
        """Return the path of a secret's file, which containers see as /run/secrets/NAME."""
        return f"{self.secrets}/{name}"

    def unit(self, role: str, slot: str = "") -> str:
        return f"{self.app}-{role}@{slot}.service" if slot else f"{self.app}-{role}.service"

    def container(self, role: str, slot: str = "") -> str:
        return f"{self.app}-{role}-{slot}" if slot else f"{self.app}-{role}"

    def call(
        self,
        *words: str,
        timeout: float = 60,
        check: bool = True,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command. Raise Problem if it fails; without `check`, only if it cannot start or exceeds `timeout`."""
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL if input is None else None,
                input=input,
                capture_output=True,
                timeout=timeout,
                env={**ENVIRONMENT, **(env or {})},
                encoding="utf-8",
                errors="replace",
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            printed = lines_of((late.output or b"").decode(errors="replace"))
            raise Late(f"{' '.join(words[:3])} did not end within {timeout:g} s", log=printed[-50:]) from None
        except OSError as error:
            raise Problem(f"{words[0]}: {error.strerror}") from None
        return check_exit(words, done) if check else done

    def systemctl(self, *words: str, timeout: float = 60, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Call systemctl, whose times are UTC. Retry while an upgrade restarts systemd (daemon-reexec)."""
        for _ in range(TRIES):
            done = self.call("systemctl", *words, timeout=timeout, check=False, env={"TZ": "UTC"})
            if not done.returncode or not UNHEARD.search(done.stderr):
                break
            time.sleep(0.1)
        return check_exit(("systemctl", *words), done) if check else done

    @cached_property  # the unit files do not change while this Host is in use
    def processes(self) -> dict[str, Process]:
        """Return the app's processes (role → process), read from this host's unit files."""
        folder = self.root + UNITS
        names = [name for name in disk.list_folder(folder) if match_unit(self.app, name)]
        return processes_in(self.app, {name: disk.read(f"{folder}/{name}") or "" for name in names})

    def has(self, role: str) -> bool:
        return role in self.processes

    def in_slots(self) -> list[str]:
        return [name for name, process in self.processes.items() if process.overlap]

    def alone(self) -> list[str]:
        """Return the roles that run in no slot: their old process must exit before the new one starts."""
        return [name for name, process in self.processes.items() if not process.overlap]

    def pinned(self) -> list[str]:
        """Return the slots "a" and "b", and the roles that run in no slot. For each, a file may name its release."""
        return ["a", "b", *self.alone()]

    def states(self, *units: str) -> dict[str, Properties]:
        if not units:
            return {}
        names = (
            "Id,ActiveState,SubState,NRestarts,MainPID,Description,Result,ExecMainStatus,LastTriggerUSec,"
            "NextElapseUSecRealtime,StateChangeTimestamp,ActiveEnterTimestampMonotonic"
        )
        shown = self.systemctl("show", "-p", names, *units).stdout
        blocks = [
            dict(line.split("=", 1) for line in lines_of(block) if "=" in line) for block in shown.strip().split("\n\n")
        ]
        by_id = {block.get("Id", ""): block for block in blocks}
        return {unit: by_id.get(unit, {}) for unit in units}


def check_exit(words: Sequence[str], done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    if done.returncode:
        raise Problem(f"{' '.join(words[:3])}: {last_output(done.stderr or done.stdout, done.returncode)}")
    return done


def is_up(state: Properties) -> bool:
    """Return True if the unit is running, starting or stopping."""
    return state.get("ActiveState") not in ("inactive", "failed", None)


def lock_holder(state: Properties) -> str | None:
    return state.get("Description") if is_up(state) else None


def wait_until(done: Callable[[], object], seconds: float, pause: float = 0.05) -> bool:
    """Call `done` every `pause` seconds until it returns true. After `seconds`, give up and return False."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def in_parallel(functions: Sequence[Callable[[], Any]], seconds: float | None = None) -> list[Any]:
    """Run functions in parallel; return results in order. If one fails, raise its error; after `seconds`, a Problem."""
    results: list[Any] = [Problem(f"no answer within {seconds or 0:g} s")] * len(functions)
    deadline = time.monotonic() + (seconds or 0)

    def call(index: int) -> None:
        try:
            results[index] = functions[index]()
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=call, args=(index,), daemon=True) for index in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(None if seconds is None else max(0, deadline - time.monotonic()))
    for error in (result for result in list(results) if isinstance(result, Exception)):
        raise error
    return results


def lines_of(text: str) -> list[str]:
    """Return the lines of a text. splitlines() would end one also at U+2028 and the like, of which a client's or a
    container's words may be full."""
    return text.removesuffix("\n").split("\n") if text else []


def last_output(text: str, code: int) -> str:
    return " / ".join(lines_of(text.strip())[-5:]) or f"exit code {code}, no output"
