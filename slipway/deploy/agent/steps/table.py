"""The steps of a deploy, by the names that the plan uses. The undo of a step stands beside it; takeback.py calls all.

A step gets host, attempt, a function that sends events, and its arguments. It notes what it is about to do before it
does it, may be done twice, returns what the deployer should know, and raises Problem. A new one also goes into
STEP_KINDS of rollout/plan.py, the agent's MODULES and, if its answer is used, ANSWERS of ssh/validate.py.
"""

from __future__ import annotations

from collections.abc import Callable

from .begin import begin
from .commit import commit, prepare, promise
from .migrate import migrate, upload
from .publish import publish
from .pull import pull
from .readiness import ready
from .replace import replace
from .start import start
from .switch import flip, pause, watch
from .verdicts import verdicts

STEPS: dict[str, Callable[..., object]] = {step.__name__: step for step in (
    begin, pull, verdicts, publish, upload, migrate, start, ready, pause, flip, watch, replace, prepare, promise,
    commit)}
