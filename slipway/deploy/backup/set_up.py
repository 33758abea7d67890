"""Sets up what the first backup needs: the repository, the database's role and slot, the units."""

from __future__ import annotations

import re
import secrets

from slipway.lasting.files import link_replace, write_replace

from . import postgres, shell, state, wal
from .repository import Repository
from .settings import Settings
from .shell import Problem, assignments

OLDEST = (0, 14)  # of restic; Debian 12 has it
OTHERS = 60  # seconds that a host waits for another one to make the repository
MAKE_ROLE = r"""
SELECT 'CREATE ROLE base_backup LOGIN REPLICATION' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'base_backup')
    \gexec
ALTER ROLE base_backup PASSWORD :'password';
"""


def prepare(settings: Settings, repository: Repository) -> None:
    """Do what is missing, then begin the first base backup."""
    settings.make_folder()
    check_version(shell.output(["restic", "version"]))
    make_repository(settings, repository)
    if settings.postgres:
        make_role(settings)
        postgres.folder(settings, "wal")
        wal.drop_useless(settings)
        postgres.sql(settings, postgres.MAKE_SLOT)
        link_replace(f"{settings.etc}/{settings.receiver}.image", f"{settings.service}.image")
        shell.output(["systemctl", "enable", "--quiet", wal.receiver_unit(settings)])
        shell.output(["systemctl", "restart", wal.receiver_unit(settings)], seconds=120)
    shell.output(["systemctl", "enable", "--quiet", "--now", *timers(settings)])
    if settings.postgres and not state.load(settings).get("base", {}).get("tags"):
        wal.begin_base(settings)


def make_repository(settings: Settings, repository: Repository) -> None:
    """Make the repository if it is missing. Of hosts that are set up at the same time, one does, while the others wait:
    two `restic init` leave a repository that nobody can read. Where each has a folder of its own, each makes one."""
    repository.make_if_missing(0 if settings.prunes else OTHERS)


def check_version(said: str) -> None:
    """Raise Problem if restic is too old: it lacks options that are needed."""
    match = re.match(r"restic (\d+)\.(\d+)", said)
    if not match or (int(match[1]), int(match[2])) < OLDEST:
        raise Problem(f"{said or 'restic'} is too old, 0.14 or newer is needed: use Debian 12, or install a newer one")


def timers(settings: Settings) -> list[str]:
    database = ["base", "wal", "drill"] if settings.postgres else []
    names = [*database, *(["files"] if settings.files else []), *(["dump"] if settings.dump else [])]
    return [f"docker-backup-{name}@{settings.app}.timer" for name in names]


def is_ready(settings: Settings) -> bool:
    """Return True if `prepare` has nothing to do. Does not ask the repository, which may be away for a while."""
    units = [*timers(settings), *([wal.receiver_unit(settings)] if settings.postgres else [])]
    enabled, active = (shell.run(["systemctl", asked, *units]).stdout.split() for asked in ("is-enabled", "is-active"))
    running = enabled == ["enabled"] * len(units) and active == ["active"] * len(units)
    return running and (not settings.postgres or not postgres.slot_is_lost(settings))


def make_role(settings: Settings) -> None:
    """Make the role that may copy the database, and only that. Its password is in the receiver's environment."""
    path = f"{settings.etc}/{settings.receiver}.env"
    password = assignments(path).get("PGPASSWORD") or secrets.token_hex(24)
    write_replace(path, f"PGPASSWORD={password}\n", 0o600)
    postgres.sql(settings, f"\\set password '{password}'\n{MAKE_ROLE}")
