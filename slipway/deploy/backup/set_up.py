"""Sets up what the first backup needs: the repositories and their password, pgBackRest's configuration, the units."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

from slipway.lasting.files import write_replace

from . import archive, configuration, pgbackrest, shell, state
from .repository import Repository
from .settings import REPOSITORY_KEY, Settings
from .shell import Problem, say

OLDEST = (0, 14)  # of restic; Debian 12 has it
OTHERS = 60  # seconds that a host waits for another one to make the repository
ACTION = "prepare"


def prepare(settings: Settings, repository: Repository) -> None:
    """Do what is missing, then begin the first base backup."""
    check_version(shell.output(["restic", "version"]))
    make_repository(settings, repository)
    if settings.postgres:
        configuration.write(settings)
        make_stanza(settings)
    state.save(settings, "place", to=settings.to)
    shell.output(["systemctl", "enable", "--quiet", "--now", *timers(settings)])
    if settings.postgres and not state.of(settings, archive.BASE).get("label"):
        archive.begin_base(settings)


def is_known(settings: Settings) -> bool:
    """Return True if this place had repositories before: then what is missing there is away, or lost."""
    return bool(state.of(settings, "place").get("to") == settings.to)


def make_repository(settings: Settings, repository: Repository) -> None:
    """Make restic's repository if it is missing. Of hosts that are set up at the same time, one does, while the others
    wait: two `restic init` leave one that nobody can read. Where each has a folder of its own, each makes one."""
    if is_known(settings):
        repository.call("cat", "config")  # raises what the cure is, if it is missing
    else:
        repository.make_if_missing(0 if settings.prunes else OTHERS)


def make_stanza(settings: Settings) -> None:
    """Make pgBackRest's repository, unless there is one: this database's, or one that a restore is to bring back."""
    if not is_known(settings):
        configuration.make_folder(settings)
    if not pgbackrest.look(settings, ACTION).system:
        if is_known(settings):
            raise Problem(f"{settings.to} has lost its backups, or is away: slipway backup --new begins anew")
        pgbackrest.make(settings, ACTION)


def check_version(said: str) -> None:
    """Raise Problem if restic is too old: it lacks options that are needed."""
    match = re.match(r"restic (\d+)\.(\d+)", said)
    if not match or (int(match[1]), int(match[2])) < OLDEST:
        raise Problem(f"{said or 'restic'} is too old, 0.14 or newer is needed: use Debian 12, or install a newer one")


def timers(settings: Settings) -> list[str]:
    database = ["base", "wal", "drill"] if settings.postgres else []
    names = [*database, *(["files"] if settings.files else []), *(["dump"] if settings.dump else [])]
    return [f"docker-backup-{name}@{settings.app}.timer" for name in names]


def is_ready(settings: Settings, repository: Repository) -> bool:
    """Succeed if `prepare` has nothing to do. Does not ask the place, which may be away for a while."""
    units = timers(settings)
    enabled, active = (shell.run(["systemctl", asked, *units]).stdout.split() for asked in ("is-enabled", "is-active"))
    running = enabled == ["enabled"] * len(units) and active == ["active"] * len(units)
    return running and is_known(settings) and (not settings.postgres or configuration.is_written(settings))


# ---- the password: without it, nobody can read the backups, not after the server is lost, either ----


def keep_password(settings: Settings, repository: Repository, typed: str = "") -> None:
    """Print the password; if `typed`, read one from stdin. If that is the password, note that somebody knows it. If it
    opens the repository instead, as on a new server, it becomes the password."""
    if not typed:
        say(settings.keys[REPOSITORY_KEY])
        return
    word = sys.stdin.read().strip()
    if word != settings.keys[REPOSITORY_KEY]:
        other = replace(settings)
        other.keys[REPOSITORY_KEY] = word
        if not Repository(other).is_made():
            raise Problem(f"that is not the password, and {settings.to} is not a repository yet")
        lines = [f"{name}={value}\n" for name, value in other.keys.items()]
        write_replace(f"{settings.etc}/{settings.app}.backup", "".join(lines), 0o600)
    write_replace(f"{settings.etc}/{settings.app}.backup.kept", "", 0o600)
    say("the password is right")
