"""Tell what Celery does, as the live release's web knows: of the whole site, also of other hosts' workers."""

from __future__ import annotations

from typing import TypedDict

from . import http, releases, slots
from .host import Host
from .message_types import Any, Time


class Celery(TypedDict):
    """`worker`, `beat`: seconds since their last heartbeats. `waiting`: queue → tasks that no worker has taken. `dead`:
    tasks that were given up. None: unknown, or the site has no Celery."""

    worker: Time | None
    beat: Time | None
    waiting: dict[str, int]
    dead: int | None


def collect(host: Host) -> Celery:
    celery = debug_vars(host, slots.live(host)).get("celery")
    values: dict[str, Any] = celery if isinstance(celery, dict) else {}  # a project's own value may be anything
    waiting = values.get("waiting")
    queues = waiting.items() if isinstance(waiting, dict) else ()
    return {
        "worker": number(values.get("worker")),
        "beat": number(values.get("beat")),
        "waiting": {name: int(tasks) for name, tasks in queues if number(tasks) is not None},
        "dead": None if number(values.get("dead")) is None else int(values["dead"]),
    }


def debug_vars(host: Host, live: str) -> dict[str, Any]:
    """Return what the live release's web says at /debug/vars; {} if it says nothing."""
    return releases.parse_object(http.ask(host.slot(live, "web.sock"), "/debug/vars", ("", "localhost"))[1]) or {}


def number(value: object) -> float | None:
    return value if type(value) in (int, float) and 0 <= value < 250e9 else None  # type: ignore[return-value, operator]
