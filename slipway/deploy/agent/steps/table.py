"""The steps of a deploy, by the names that the plan uses. The undo of a step stands beside it; takeback.py calls all.

A step takes the host, the attempt, a function that sends events to the deployer, and its arguments. It returns what the
deployer should know, and raises Problem. It notes in the attempt what it is about to do before it does it. It may be
done twice. A new step also goes into STEP_KINDS of rollout/plan.py, into the agent's MODULES and, if its answer is
used, into ANSWERS of ssh/validate.py.
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
