"""Records of errors, as hosts log them, for tests of `slipway errors`."""

from slipway.deploy.agent import groups

SINCE = 1795680000.0


def failed(message="'a'", line="31", **extra):
    """Return what a record of a KeyError has, in the visitor's message even a traceback."""
    text = f"Traceback (most recent call last):\n  …\nKeyError: {message}"
    return {
        "exception": text,
        "raised": {"type": "KeyError", "file": "/app/orders/views.py", "line": line, "function": "detail", **extra},
    }


def id_of(**fields):
    return groups.group_of_record(1, "web", fields)["id"]
