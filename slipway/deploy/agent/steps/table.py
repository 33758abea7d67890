"""Import all files of this folder that have steps, so that KINDS and STEPS hold them."""

from __future__ import annotations

from . import begin, commit, migrate, publish, pull, replace, start, switch, verdicts  # noqa: F401
from .step import KINDS, STEPS

__all__ = ["KINDS", "STEPS"]
