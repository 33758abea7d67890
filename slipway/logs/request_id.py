"""One id for a request and all it sets off: in the answer's header, every log line, and the tasks it queues."""

import re
import uuid
from contextvars import ContextVar

HEADER = "X-Request-ID"
_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """The id of the request or task being worked on; empty outside of one."""
    return _current.get()


def start(given: str = "") -> str:
    """Make `given` the current id where it is one, else a new one: a visitor may send anything. Returns the id."""
    request_id = given if re.fullmatch(r"[A-Za-z0-9_-]{8,64}", given or "") else uuid.uuid4().hex
    _current.set(request_id)
    return request_id


def clear() -> None:
    """Outside of a request or task again."""
    _current.set("")
