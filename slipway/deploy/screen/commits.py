"""Tells what changed between two releases, from the git repository around, if it has both revisions."""

import re
import subprocess

from ..agent.host import lines_of

MOST = 5


def between(old: str, new: str) -> list[str]:
    """Return the newest commits of `new` that `old` lacks, each in a line; [] if they are unknown here."""
    names = [name.removesuffix("-dirty") for name in (old, new)]  # hosts tell them: they must not be options of git
    if not all(re.fullmatch("[0-9a-f]{7,64}", name) for name in names):
        return []
    try:
        done = subprocess.run(
            ["git", "log", "--format=%h %s", "..".join(names), "--"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError:  # there is no git
        return []
    lines = lines_of(done.stdout)
    return [*lines[:MOST], f"and {len(lines) - MOST} more"] if len(lines) > MOST else lines
