"""The steps of a deploy, by the names that the plan uses. Each may be done twice. What undoes one stands beside it;
takeback.py undoes them all.

A step takes the host, the attempt as it is so far (its updates are on disk before what they tell of), its arguments,
and returns what the deployer should know. What goes wrong is a Problem.
"""

from __future__ import annotations

from collections.abc import Callable

from .begin import begin
from .commit import commit, prepare, promise
from .migrate import migrate
from .prune import prune
from .publish import publish
from .pull import pull
from .readiness import ready, start
from .switch import beat, flip, pause, watch
from .verdicts import verdicts

STEPS: dict[str, Callable[..., object]] = {step.__name__: step for step in (
    begin, pull, verdicts, publish, migrate, start, ready, pause, flip, watch, beat, prepare, promise, commit, prune)}
