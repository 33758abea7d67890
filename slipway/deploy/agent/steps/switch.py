"""The steps around the flip: pause the old workers, flip, watch."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

from .. import slots
from ..attempt import Attempt
from ..host import Host, Problem, wait_until
from ..message_types import Noted, Say
from ..visitors import Visitors
from .readiness import role_problem, web_problem
from .step import step
from .watcher import FAILURES, Watched, Watcher

STALE = 1.5  # seconds; a web may repeat its last answer to /readyz for one second
PAUSE = 0.05  # seconds between two answers


def workers_back(host: Host, attempt: Noted) -> None:
    if host.has("worker"):
        slots.resume(host, attempt["live"])
        slots.pause(host, attempt["slot"])


@step(120, undo=workers_back, takeback="old workers consume again")
def pause(host: Host, attempt: Attempt, say: Say, seconds: float = 10) -> None:
    """Tell the old worker to take no new tasks; wait at most `seconds` until it confirms."""
    live = attempt.noted["live"]
    if not host.has("worker") or not slots.running(host, host.unit("worker", live)):
        return
    slots.pause(host, live)
    if not wait_until(lambda: slots.worker_state(host, live)[0] != "consuming", seconds):
        say({"event": "progress", "text": "the old worker has not confirmed that it is paused"})


def flip_back(host: Host, attempt: Noted) -> None:
    slots.flip_back(host, attempt["live"])


@step(120, undo=flip_back, takeback="flip back to the old slot")
def flip(host: Host, attempt: Attempt, say: Say, smoke: Sequence[str], max_errors: float | None = None) -> None:
    """Send visitors to the new slot; start a watcher unless `max_errors` is None; request the paths `smoke`."""
    blind = Visitors(host).log_problem() if max_errors is not None and host.has("web") else ""
    if blind:
        raise Problem(blind)
    slots.prepare_way_back(host, attempt.noted["live"])
    attempt.flipped.set()
    if attempt.died:
        raise attempt.died
    watcher = None if max_errors is None else Watcher(host, attempt, say, max_errors)
    slots.flip(host, attempt.noted["slot"])
    if watcher:
        attempt.watch, attempt.seen = watcher.watch_for, watcher.seen
        watcher.start()
    if host.has("web"):
        check_front(host, attempt, smoke)


def check_front(host: Host, attempt: Attempt, smoke: Sequence[str]) -> None:
    """Raise Problem if the release is not ready through nginx, STALE seconds long and FAILURES times in a row."""
    deadline = time.monotonic() + STALE
    for failures in itertools.count(1):
        problem = web_problem(host, attempt, host.nginx_sock, smoke)
        if not problem:
            return
        if failures >= FAILURES and time.monotonic() > deadline:
            raise role_problem(host, attempt, "web", problem, " through nginx")
        time.sleep(PAUSE)


@step(120, undo=None, takeback="it only asks")
def watch(host: Host, attempt: Attempt, say: Say, seconds: float) -> Watched:
    """Watch the release for `seconds`. Raise Problem if the watcher finds one."""
    if not attempt.watch:
        raise Problem("this flip has begun no watch")
    answer: Watched = attempt.watch(seconds)
    return answer
