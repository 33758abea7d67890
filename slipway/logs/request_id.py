"""The id of the current request. The request's response, log lines and tasks contain this id."""

import re
import uuid
from contextvars import ContextVar

HEADER = "X-Request-ID"
_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    return _current.get()


def start(given: str = "") -> str:
    """Set and return the current request's id: `given`, or a new one if `given` is invalid."""
    request_id = given if re.fullmatch(r"[A-Za-z0-9_-]{8,64}", given or "") else uuid.uuid4().hex
    _current.set(request_id)
    return request_id
