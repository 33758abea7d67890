"""One app on this host: its paths and names, commands that are run for it, waiting."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from . import disk
from .roles import Process, processes_in, unit_of
from .shapes import Any, CallOptions, More, Properties, Unpack

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root"}
UNITS = "/etc/systemd/system"
UNHEARD = re.compile("Connection reset by peer|Transport endpoint is not connected|disconnected from message bus")
TRIES = 50  # of a systemctl that is not heard, 0.1 s apart


class Problem(Exception):
    """What went wrong here, in a line or a few; `more`: see shapes.More."""

    def __init__(self, text: str, **more: Unpack[More]) -> None:
        super().__init__(text)
        self.more: More = more


class Host:
    """Paths and commands of an app. Tests give another `root` than /, and a `call` of their own."""

    def __init__(self, app: str, root: str = "") -> None:
        self.app, self.root = app, root
        self.etc, self.var, self.run = root + "/etc/default/" + app, root + "/var/www/" + app, root + "/run/" + app
        self.env, self.secrets = self.etc + ".env", self.etc + ".secrets"
        self.next_env, self.revert_env = self.env + ".next", self.env + ".revert"
        self.tag, self.revert, self.log = self.var + "/TAG", self.var + "/REVERT", self.var + "/releases.log"
        self.web_sock, self.attempt = self.run + "/web.sock", self.run + "/attempt"
        self.attempt_files = self.attempt, self.attempt + ".new"  # an agent may die between write and rename
        self.docker_sock, self.nginx_sock = root + "/run/docker.sock", self.run + "/nginx.sock"
        self.lock = app + "-deploy.service"

    def kept_env(self, name: str) -> str:
        """The file of settings that a rollback has replaced."""
        return "%s.%s.kept" % (self.env, name)

    def kept_envs(self, end: str = "") -> list[str]:
        """The names of all such; with an `end`, of what `prepare` has written beside them."""
        first, last = self.app + ".env.", ".kept" + end
        return [name[len(first):-len(last)] for name in disk.entries(os.path.dirname(self.env))
                if name.startswith(first) and name.endswith(last) and len(name) > len(first + last)]

    def slot(self, slot: str, name: str) -> str:
        """The path of a file in a slot's folder: web.sock, worker.ready, worker.pause."""
        return "%s/%s/%s" % (self.run, slot, name)

    def slot_file(self, slot: str, kind: str) -> str:
        """The path of what a slot is pinned to: `kind` is tag, env or plan, `slot` is one of `pinned`."""
        return "%s/%s.%s" % (self.run, slot, kind)

    def secret(self, name: str) -> str:
        """The file of a secret, which containers see as /run/secrets/NAME."""
        return "%s/%s" % (self.secrets, name)

    def unit(self, role: str, slot: str = "") -> str:
        """The systemd unit of a role, in a slot or alone."""
        return "%s-%s%s.service" % (self.app, role, "@" + slot if slot else "")

    def container(self, role: str, slot: str = "") -> str:
        """The container of a role, in a slot or alone."""
        return "%s-%s%s" % (self.app, role, "-" + slot if slot else "")

    def call(self, *words: str, timeout: float = 60, check: bool = True, env: Mapping[str, str] | None = None,
             input: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. Raises Problem when it fails, with `check`, or takes over `timeout` seconds."""
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL if input is None else None, input=input,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                                  env={**ENVIRONMENT, **(env or {})}, encoding="utf-8", errors="replace")
        except subprocess.TimeoutExpired:
            raise Problem("%s did not end within %d s" % (" ".join(words[:3]), timeout)) from None
        except OSError as error:
            raise Problem("%s: %s" % (words[0], error.strerror)) from None
        return checked(words, done) if check else done

    def systemctl(self, *words: str, **options: Unpack[CallOptions]) -> subprocess.CompletedProcess[str]:
        """`call` of systemctl, and again while an upgrade replaces systemd (daemon-reexec)."""
        check, options["check"] = options.get("check", True), False
        for _ in range(TRIES):
            done = self.call("systemctl", *words, **options)
            if not done.returncode or not UNHEARD.search(done.stderr):
                break
            time.sleep(0.1)
        return checked(("systemctl", *words), done) if check else done

    def docker(self, *words: str, **options: Unpack[CallOptions]) -> subprocess.CompletedProcess[str]:
        """`call` of docker."""
        return self.call("docker", *words, **options)

    @cached_property
    def processes(self) -> dict[str, Process]:
        """Role → process, of those that this host has, by the units that it was provisioned with. Read once: who has
        the lock either writes units or asks for processes, and without it each question has a Host of its own."""
        folder = self.root + UNITS
        names = [name for name in disk.entries(folder) if unit_of(self.app, name)]
        return processes_in(self.app, {name: disk.read("%s/%s" % (folder, name)) or "" for name in names})

    def has(self, role: str) -> bool:
        """Whether this host has a role."""
        return role in self.processes

    def in_slots(self) -> list[str]:
        """The roles here that run in the slots."""
        return [name for name, process in self.processes.items() if process.overlap]

    def alone(self) -> list[str]:
        """The roles here of which one runs at a time; each has files as a slot has."""
        return [name for name, process in self.processes.items() if not process.overlap]

    def pinned(self) -> list[str]:
        """The slots, and what runs alone: each runs a release of its own."""
        return ["a", "b", *self.alone()]

    def states(self, *units: str) -> dict[str, Properties]:
        """unit → its properties, all asked at once."""
        if not units:
            return {}
        names = "Id,ActiveState,SubState,NRestarts,MainPID,Description,ActiveEnterTimestamp"
        shown = self.systemctl("show", "-p", names, *units).stdout
        blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
                  for block in shown.strip().split("\n\n")]
        found = {block.get("Id", ""): block for block in blocks}
        return {unit: found.get(unit, {}) for unit in units}


def checked(words: Sequence[str], done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """The finished process of a command. Raises Problem where it has failed."""
    if done.returncode:
        raise Problem("%s: %s" % (" ".join(words[:3]), last(done.stderr or done.stdout, done.returncode)))
    return done


def is_up(state: Properties) -> bool:
    """Whether a unit with these properties runs, or is about to start or to stop."""
    return state.get("ActiveState") not in ("inactive", "failed", None)


def lock_holder(state: Properties) -> str | None:
    """Who holds the lock, by the properties of its unit; None where it is free."""
    return state.get("Description") if is_up(state) else None


def wait_until(done: Callable[[], object], seconds: float, pause: float = 0.05) -> bool:
    """Wait until `done` returns something true, so many seconds at most; whether it did. It is asked at least once."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def at_once(functions: Sequence[Callable[[], Any]], seconds: float | None = None) -> list[Any]:
    """Call functions at the same time; their results in order. Raises the first error, or Problem after `seconds`."""
    results: list[Any] = [Problem("it could not be found out within %d s" % (seconds or 0))] * len(functions)
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


def last(text: str, code: int) -> str:
    """The last lines of a command's output, as one line."""
    return " / ".join(text.strip().splitlines()[-5:]) or "exit %d without a word" % code
