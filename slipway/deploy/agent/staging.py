"""Staging settings and secrets, in two halves: what can fail fails in the first, and is undone.

Bytes travel as base64."""

from __future__ import annotations

import base64
import contextlib

from . import disk, shell
from .answers import Settings
from .host import Host, Problem


def read_settings(host: Host) -> Settings:
    """The settings that are live, and those that are staged, None where there are none."""
    current, staged = (disk.read_bytes(path) for path in (host.env, host.next_env))
    if current is None:
        raise Problem("there is no %s: run make provision first" % host.env)
    return {"settings": base64.b64encode(current).decode(),
            "staged": None if staged is None else base64.b64encode(staged).decode()}


def stage(host: Host, settings: str, files: dict[str, str]) -> None:
    """The first half: write all beside its place. `files`: name → content of secrets, which only the app may read."""
    for name, content in files.items():
        disk.write_beside(host.secret(name), base64.b64decode(content), 0o640, shell.ids("root", host.app))
    disk.write_beside(host.next_env, base64.b64decode(settings), 0o600, shell.ids("root", "root"))


def finish_staging(host: Host, files: list[str]) -> None:
    """The second half: rename what `stage` has written; secrets before the settings that name them."""
    for path in [*map(host.secret, files), host.next_env]:
        disk.move(path + ".new", path)


def drop_staging(host: Host) -> None:
    """Remove what `stage` has written, where the second half did not follow."""
    secrets = [host.secret(name) for name in disk.entries(host.secrets) if name.endswith(".new")]
    for path in [host.next_env + ".new", *secrets]:
        with contextlib.suppress(OSError):
            disk.remove(path)


def drop_secrets(host: Host) -> None:
    """Remove secrets that no settings name any more. No name is used twice."""
    settings = [host.env, host.next_env, host.revert_env, *map(host.kept_env, host.kept_envs())]
    settings += [host.slot_file(slot, "env") for slot in host.pinned()]
    named = "".join(disk.read(path) or "" for path in settings)
    disk.remove(*(host.secret(name) for name in disk.entries(host.secrets) if name not in named))
