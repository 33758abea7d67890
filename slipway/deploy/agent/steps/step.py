"""The kinds of steps: names, limits and undos, declared beside the functions that run on hosts.

A new step is a function in a file of this folder, which table.py imports, marked by `step`, and a line in
rollout/plan.py. The step gets the host, the attempt, a function that sends events, and its own arguments. Before it
changes something, it saves in the attempt's file what an undo needs (a key of Noted). It may run twice. If it fails, it
raises Problem. The deployer checks the answer against the function's return type. `step` names the function that
undoes it, which takeback.py puts in its order; a test compares both."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from ..host import Host
from ..message_types import Noted

Run = TypeVar("Run", bound=Callable[..., object])
Undo = Callable[[Host, Noted], None]  # from the attempt's file alone, as the agent that ran the step may be dead


class Kind(NamedTuple):
    """A step's limit and undo."""

    limit: int  # seconds that the step may take; its argument `seconds` is added
    undo: Undo | None  # None: a takeback leaves it as it is
    takeback: str  # what a takeback does about it, or why nothing, as the command `plan` prints it


STEPS: dict[str, Callable[..., object]] = {}  # name → function
KINDS: dict[str, Kind] = {}


def step(limit: int, undo: Undo | None, takeback: str) -> Callable[[Run], Run]:
    """Mark a function as the step of its name."""

    def note(run: Run) -> Run:
        STEPS[run.__name__] = run
        KINDS[run.__name__] = Kind(limit, undo, takeback)
        return run

    return note
