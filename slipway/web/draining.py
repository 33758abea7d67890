"""A site that is told to end goes on for a while, where DRAIN says so, until who sends it visitors has heard of it.

All of that is gunicorn's first process's. Its workers hear of nothing before the true end, and one that dies meanwhile
is replaced. That one hears of the end which is just being forked is seen to here, too.
"""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter


ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def hold_signals() -> None:
    """Let a signal to end wait while this process forks a worker, until `take_signals` there: what a worker inherits
    until it has handlers of its own would swallow it, and gunicorn would wait for that worker to the last second."""
    first = os.getpid()

    def mask(how: int) -> None:
        if os.getpid() == first:  # a worker's own children have nothing to do with it
            signal.pthread_sigmask(how, ENDS)
    os.register_at_fork(before=lambda: mask(signal.SIG_BLOCK), after_in_parent=lambda: mask(signal.SIG_UNBLOCK))


def take_signals() -> None:
    """In a worker that has its handlers: what has waited comes now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)


def prepare(server: Arbiter, seconds: int) -> None:
    """Have a TERM end the server only after so many seconds, and a second one at once. It looks its handlers up by
    their names; INT and QUIT keep theirs."""
    end = server.handle_term

    def begin() -> None:
        """The first TERM. The alarm needs no thread, which workers could not be forked beside."""
        setattr(server, "handle_term", end)
        setattr(server, "handle_alrm", end)
        signal.signal(signal.SIGALRM, server.signal)
        signal.alarm(seconds)
        logging.getLogger("gunicorn.error").info("Going on for %d s, DRAIN, before the end", seconds)

    setattr(server, "handle_term", begin)
