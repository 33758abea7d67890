"""The command line of docker-backup."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence

from slipway.lasting import LockedOpen

from . import archive, drill, elsewhere, files, leftovers, points, restore, set_up, shell
from .repository import Repository
from .settings import Settings
from .shell import Problem

AT_ONCE = ("ready", "list", "point", "restored", "password")  # several of these may run at once
HOUR = 3600
# Seconds that a run may take, as its unit has it; what somebody asks for by hand may take as long as it takes.
LIMITS = {"base": 24 * HOUR, "wal": HOUR // 4, "files": 24 * HOUR, "dump": 24 * HOUR, "drill": 24 * HOUR}


# Each gets the settings, the repository and the further arguments, which usage() shows. False: it has failed.
COMMANDS: dict[str, tuple[Callable[..., object], str]] = {
    "prepare": (set_up.prepare, ""),
    "ready": (set_up.is_ready, ""),
    "base": (archive.make_base, "[--new]"),
    "wal": (archive.ship, ""),
    "files": (files.keep, "[--new]"),
    "dump": (elsewhere.keep, ""),
    "print-dump": (elsewhere.tell, "[TIME]"),
    "put-back": (files.put_back, "TIME"),
    "password": (set_up.keep_password, "[--typed]"),
    "drill": (drill.run, "[MIGRATIONS]"),
    "list": (restore.offer, ""),
    "point": (points.add, "KIND TAG"),
    "beside": (restore.beside, "TIME"),
    "restored": (restore.tell, ""),
    "swap": (restore.swap, ""),
    "discard": (restore.discard, ""),
}
# Of these, one at a time: they use the same container.
SHARED = {"beside": "restored", "swap": "restored", "discard": "restored", "print-dump": "dump"}


@contextlib.contextmanager
def alone(settings: Settings, action: str) -> Iterator[None]:
    """Wait for the end of another run of the same action. Refuse a second restore. (A timer's look for what was left
    has the lock for a moment, too: that is waited for.)"""
    os.makedirs(leftovers.LOCKS, mode=0o700, exist_ok=True)
    path = leftovers.lock_path(settings, action)
    try:
        with LockedOpen(path, "a", timeout=0):
            pass
    except TimeoutError:
        if action == "restored" and runs(path):
            raise Problem(f"another restore of {settings.app} runs") from None
        # stdout may be a dump
        print(f"another docker-backup {action} {settings.app} runs: waiting for its end", file=sys.stderr)
    with LockedOpen(path, "w") as file:
        print(os.getpid(), file=file, flush=True)
        yield


def runs(path: str) -> bool:
    """Return True if the process runs that wrote into a lock."""
    with open(path, encoding="ascii") as file:
        pid = file.read().strip()
    return pid != "" and os.path.exists(f"/proc/{pid}")


def usage() -> str:
    """Return what each command gets and does: the first sentence of its docstring."""
    lines = ["usage: docker-backup COMMAND APP ..."]
    for name, (function, words) in COMMANDS.items():
        does = " ".join((function.__doc__ or "").split()).partition(". ")[0].rstrip(".")
        lines.append(f"  {' '.join(filter(None, [name, words])):22} {does}")
    return "\n".join(lines)


def main(words: Sequence[str]) -> None:
    if len(words) < 2 or words[0] not in COMMANDS:
        sys.exit(usage())
    action, app, *rest = words
    try:
        settings = Settings.load(app)
        settings.make_folder()
        if action in LIMITS:
            shell.Time.limit(LIMITS[action])
        with contextlib.nullcontext() if action in AT_ONCE else alone(settings, SHARED.get(action, action)):
            done = COMMANDS[action][0](settings, Repository(settings), *rest)
    except Problem as problem:
        sys.exit(f"docker-backup: {problem}")
    except OSError as error:
        sys.exit(f"docker-backup: {error.filename or 'this host'}: {error.strerror}")
    sys.exit(done is False)
