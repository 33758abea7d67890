"""The repository's password. Without it, nobody can read the backups: not after the server is lost, either."""

from __future__ import annotations

import sys
from dataclasses import replace

from slipway.lasting.files import write_replace

from .repository import Repository
from .settings import Settings
from .shell import Problem, say

NAME = "RESTIC_PASSWORD"


def keep(settings: Settings, repository: Repository, typed: str = "") -> None:
    """Print the password; if `typed`, read one from stdin. If that is the password, note that somebody knows it. If it
    opens the repository instead, as on a new server, it becomes the password."""
    if not typed:
        say(settings.keys[NAME])
        return
    word = sys.stdin.read().strip()
    if word != settings.keys[NAME]:
        other = replace(settings)
        other.keys[NAME] = word
        if not Repository(other).is_made():
            raise Problem(f"that is not the password, and {settings.to} is not a repository yet")
        lines = [f"{name}={value}\n" for name, value in other.keys.items()]
        write_replace(f"{settings.etc}/{settings.app}.backup", "".join(lines), 0o600)
    write_replace(f"{settings.etc}/{settings.app}.backup.kept", "", 0o600)
    say("the password is right")
