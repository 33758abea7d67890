"""The steps of a deploy, by name. takeback.py calls the functions of this folder that undo steps.

A step gets the host, the attempt, a function that sends events, and its own arguments. Before it changes something, it
saves in the attempt's file what an undo needs. A step may run twice. If it fails, it raises Problem. Add a new step to
STEP_KINDS (rollout/plan.py), MODULES (agent/__init__.py) and, if its answer is used, ANSWERS (ssh/validate.py)."""

from __future__ import annotations

from collections.abc import Callable

from .begin import begin
from .commit import commit, prepare, promise
from .migrate import migrate, upload
from .publish import publish
from .pull import pull
from .replace import replace
from .start import ready, start
from .switch import flip, pause, watch
from .verdicts import verdicts

STEPS: dict[str, Callable[..., object]] = {step.__name__: step for step in (
    begin, pull, verdicts, publish, upload, migrate, start, ready, pause, flip, watch, replace, prepare, promise,
    commit)}
