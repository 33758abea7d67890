"""Puts a restored database in place of the living one."""

from __future__ import annotations

import contextlib
import time

from slipway.lasting.files import write_replace

from . import archive, points, postgres, shell
from .repository import Repository
from .restore import ACTION, copy, read, shipped
from .settings import Settings
from .shell import Problem, say

PATIENCE = 30  # seconds for the place, while visitors wait
ANSWER = 60  # seconds for the database to answer after the swap


def run(settings: Settings, repository: Repository) -> None:
    """Let the service run on the restored volume. The old one stays, and its name is printed. After an interruption,
    another swap goes on."""
    restored, made = copy(settings), read(settings)
    old = made["old"] = made.get("old") or settings.image["DATA"]
    restored.note(made)
    if not made.get("promoted"):
        try:
            restored.promote(made["volume"])
        except Problem as problem:
            raise Problem(f"{problem}; so the old one serves on") from None
        shipped(settings, repository, ACTION, PATIENCE)  # so that the branch that ends can be restored to its end
        restored.note({**made, "promoted": True})
    restored.stop()
    use(settings, made["volume"])
    if not answers(settings):
        use(settings, old)
        restored.note({**made, "old": "", "promoted": True})
        if answers(settings):
            points.add(settings, repository, "swap")
        cause = f"journalctl -t {settings.service}"
        raise Problem(f"the restored database did not start, so the old one serves on: {cause}")
    points.add(settings, repository, "swap")
    archive.begin_base(settings)
    with contextlib.suppress(Problem):
        points.send(settings, repository)
    restored.file.unlink()
    say(f"the data of before are in the volume {old}: once nobody needs them, run docker volume rm {old}")


def use(settings: Settings, volume: str) -> None:
    """Restart the service with another volume."""
    file = f"{settings.etc}/{settings.service}.image"
    values = {**shell.assignments(file), "DATA": volume}
    write_replace(file, "".join(f"{name}={value}\n" for name, value in values.items()), 0o644)
    shell.output(["systemctl", "restart", f"docker-service@{settings.service}.service"], seconds=180)


def answers(settings: Settings) -> bool:
    until = time.monotonic() + ANSWER
    while time.monotonic() < until:
        with contextlib.suppress(Problem):
            return bool(postgres.sql(settings, "SELECT 1"))
        time.sleep(0.2)
    return False
