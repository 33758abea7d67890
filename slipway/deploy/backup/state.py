"""Records how the app's backups went, in /var/backups/APP/state.json, which `slipway status` reads."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slipway.lasting import LockedOpen
from slipway.lasting.files import write_replace

from .settings import Settings
from .shell import Problem


def load(settings: Settings) -> dict[str, Any]:
    """Return action → its record. `began`, `ended`: of the last run; one that began and has not ended was killed, if it
    does not run. `at`: when it last succeeded, in seconds; `problem`: why it failed since, or ""."""
    file = Path(settings.folder, "state.json")
    state: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return state


def of(settings: Settings, action: str) -> dict[str, Any]:
    """Return an action's record, {} before its first run."""
    record: dict[str, Any] = load(settings).get(action, {})
    return record


def save(settings: Settings, action: str, **values: object) -> None:
    """Add values to an action's record. Other actions may save theirs at the same time."""
    settings.make_folder()
    with LockedOpen(f"{settings.folder}/state.lock", "a"):
        state = load(settings)
        state[action] = {**state.get(action, {}), **values}
        write_replace(f"{settings.folder}/state.json", json.dumps(state, indent=1), 0o644)


@contextlib.contextmanager
def recorded(settings: Settings, action: str) -> Iterator[dict[str, Any]]:
    """Record that an action begins, and how it ends. What the block puts into the yielded values is recorded with its
    success. If the first cannot be written, as on a full disk, the action does its work, and fails afterwards."""
    began = time.time()
    values: dict[str, Any] = {}
    with contextlib.suppress(OSError):
        save(settings, action, began=began)
    try:
        yield values
    except (Problem, OSError) as problem:
        with contextlib.suppress(OSError):
            save(settings, action, problem=str(problem), failed=time.time(), ended=time.time())
        raise
    save(settings, action, **{"at": began, "ended": time.time(), "problem": "", **values})
