"""Records how the app's backups went, in /var/backups/APP/state.json, which `slipway status` reads."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

from slipway.lasting import LockedOpen
from slipway.lasting.files import write_replace

from .settings import Settings
from .shell import Problem


def path(settings: Settings) -> str:
    return f"{settings.folder}/state.json"


def load(settings: Settings) -> dict[str, Any]:
    """Return action → its record. `at`: when it last succeeded, in seconds; `problem`: why it failed since, or ""."""
    try:
        with open(path(settings), encoding="utf-8") as file:
            state: dict[str, Any] = json.load(file)
            return state
    except FileNotFoundError:
        return {}


def save(settings: Settings, action: str, **values: object) -> None:
    """Add values to an action's record. Other actions may save theirs at the same time."""
    settings.make_folder()
    with LockedOpen(f"{settings.folder}/state.lock", "a"):
        state = load(settings)
        state[action] = {**state.get(action, {}), **values}
        write_replace(path(settings), json.dumps(state, indent=1), 0o644)


@contextlib.contextmanager
def recorded(settings: Settings, action: str) -> Iterator[dict[str, Any]]:
    """Record how an action ends. What the block puts into the yielded values is recorded with its success."""
    began = time.time()
    values: dict[str, Any] = {}
    try:
        yield values
    except Problem as problem:
        save(settings, action, problem=str(problem), failed=time.time())
        raise
    save(settings, action, **{"at": began, "seconds": round(time.time() - began, 1), "problem": "", **values})
