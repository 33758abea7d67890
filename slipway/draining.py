"""A site that is told to end goes on for a while, where DRAIN says so, until who sends it visitors has heard of it.

All of that is gunicorn's first process's. Its workers hear of nothing before the true end, and one that dies meanwhile
is replaced.
"""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter


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
