"""The command line of docker-backup."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence

from slipway.lasting import LockedOpen

from . import archive, base, drill, elsewhere, files, leftovers, listing, password, points, restore, set_up, shell, swap
from .repository import Repository
from .settings import Settings
from .shell import Problem, say

USAGE = """\
usage: docker-backup prepare APP   do what is missing before the first backup
       docker-backup ready APP     succeed if nothing is missing
       docker-backup base APP      copy the database to the repository, and forget what is too old there
       docker-backup wal APP       see to it that what has changed since is there, too
       docker-backup files APP     send uploads, settings and secrets
       docker-backup dump APP      send a dump of a database elsewhere
       docker-backup print-dump APP [TIME]     write one to stdout: of now, or "latest" or a time in seconds
       docker-backup put-back APP TIME     bring uploads back: those of "latest", or of a time in seconds
       docker-backup password APP [--typed]    print the repository's password; --typed: check that of stdin
       docker-backup drill APP [MIGRATIONS]    restore into a copy that is thrown away, and record what came back;
                                   MIGRATIONS: "shop 0001_initial,...", which the live release needs
       docker-backup list APP      print what the repository has, as JSON
       docker-backup point APP KIND TAG    note that now is "before" or the "commit" of a release
       docker-backup beside APP TIME       restore into a second container; TIME: latest, @SECONDS, TAG, before:TAG
       docker-backup restored APP  print what has been restored, as JSON
       docker-backup swap APP      let the service run on it
       docker-backup discard APP   remove it
"""
# Several of these may run at once; wal waits for another one by itself.
AT_ONCE = ("ready", "list", "point", "restored", "password", "wal")
HOUR = 3600
# Seconds that a run may take, as its unit has it; what somebody asks for by hand may take as long as it takes.
LIMITS = {"base": 24 * HOUR, "wal": HOUR // 4, "files": 24 * HOUR, "dump": 24 * HOUR, "drill": 24 * HOUR}


def ready(settings: Settings, repository: Repository) -> None:
    if not set_up.is_ready(settings):
        sys.exit(1)


# Each gets the settings, the repository and the further arguments.
COMMANDS: dict[str, Callable[..., None]] = {
    "prepare": set_up.prepare,
    "ready": ready,
    "base": base.make,
    "wal": archive.ship,
    "files": files.keep,
    "dump": elsewhere.keep,
    "print-dump": elsewhere.tell,
    "put-back": files.put_back,
    "password": password.keep,
    "drill": drill.run,
    "list": listing.tell,
    "point": points.add,
    "beside": restore.beside,
    "restored": restore.tell,
    "swap": swap.run,
    "discard": restore.discard,
}
# Of these, one at a time: they use the same container.
SHARED = {"beside": "restore", "swap": "restore", "discard": "restore", "print-dump": "dump"}


@contextlib.contextmanager
def alone(settings: Settings, action: str) -> Iterator[None]:
    """Wait for the end of another run of the same action. Refuse a second restore."""
    os.makedirs(leftovers.LOCKS, mode=0o700, exist_ok=True)
    path = leftovers.lock_path(settings, action)
    try:
        with LockedOpen(path, "a", timeout=0):
            pass
    except TimeoutError:
        if action == "restore":
            raise Problem(f"another restore of {settings.app} runs") from None
        say(f"another docker-backup {action} {settings.app} runs: waiting for its end")
    with LockedOpen(path, "a"):
        yield


def main(words: Sequence[str]) -> None:
    if len(words) < 2 or words[0] not in COMMANDS:
        sys.exit(USAGE)
    action, app, *rest = words
    try:
        settings = Settings.load(app)
        if action in LIMITS:
            shell.Time.limit(LIMITS[action])
        with contextlib.nullcontext() if action in AT_ONCE else alone(settings, SHARED.get(action, action)):
            COMMANDS[action](settings, Repository(settings), *rest)
    except Problem as problem:
        print(f"docker-backup: {problem}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"docker-backup: {error.filename or 'this host'}: {error.strerror}", file=sys.stderr)
        sys.exit(1)
