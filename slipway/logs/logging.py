"""Formats logs: text in development, JSON lines in production. Each record has its request's id; text shortens it."""

import logging
import re
import reprlib
import traceback
from datetime import UTC, datetime
from json import dumps
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from ..release import RELEASE
from . import request_id

# Characters that move the cursor or end a line: with them, a visitor's text could look like lines of the log.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

# Docker splits lines of more than 16 KB. Of what has more bytes as JSON, begin and end are kept.
LONGEST = {"exception": 11_000, "message": 2000, "message_template": 300, "path": 2000}
# Fields of a line that no record of a team's replaces.
OWN = {
    "time",
    "level",
    "logger",
    "message",
    "message_template",
    "request_id",
    "release",
    "raised",
    "exception",
    "stack",
}
NO_EXTRA = {*RESERVED_ATTRS, "message", "request_id", "request", "server_time"}
WORDS = reprlib.Repr()
WORDS.maxstring = WORDS.maxother = 1000
# Files that are not the project's own: of Python, of installed packages, of Slipway.
FOREIGN = re.compile(r"^<|/(site|dist)-packages/|/lib/python3|\.(whl|zip)/|/slipway/")


def add_request_id(record: logging.LogRecord) -> bool:
    """Add the request's id, and method and path if Django logs a failed request."""
    if not hasattr(record, "request_id"):
        record.request_id = request_id.current() or "-"
    request: Any = getattr(record, "request", None)
    if hasattr(request, "method") and hasattr(request, "path"):
        record.method = request.method
        record.path = request.path
    return True


def make_warning(record: logging.LogRecord) -> bool:
    """Turn errors that visitors can cause, such as a wrong Host, into warnings without traceback."""
    record.levelno = logging.WARNING
    record.levelname = "WARNING"
    record.exc_info = None
    return True


def drop_arguments(record: logging.LogRecord) -> bool:
    """Remove arguments and results of tasks from Celery's log records, because they may be secrets."""
    record.__dict__.pop("data", None)
    if isinstance(record.args, dict):
        record.msg = record.msg.removesuffix(": %(return_value)s")
        record.args = {
            name: value for name, value in record.args.items() if name not in ("args", "kwargs", "return_value")
        }
    return True


class Text(logging.Formatter):
    """Formats a log record as one line, with control characters escaped (\\n, \\x1b). A traceback follows, indented."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {name} [{request_id:.8}] {message}", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return escape(super().formatMessage(record))

    def formatException(self, exc_info: Any) -> str:
        return "\n".join("    " + escape(line) for line in super().formatException(exc_info).splitlines())


def escape(text: str) -> str:
    return CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


class Json(JsonFormatter):
    """Formats a record as one JSON object with time (ISO 8601, UTC), level, logger, message, request_id and release.
    Adds the exception, where it was `raised`, and the keys of `extra` and of a dict that is logged in place of a
    message. Such a key that has the name of one of these becomes extra_NAME."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            return super().format(record)
        except Exception:  # whatever a team's object raises, its record is not lost
            return super().format(as_texts(record))

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        fields = {**message_dict}
        error = fields.pop("exc_info", None)
        stack = fields.pop("stack_info", None)
        log_data.update(time=datetime.fromtimestamp(record.created, UTC), level=record.levelname, logger=record.name)
        if isinstance(record.msg, str) and record.args:
            log_data["message_template"] = record.msg  # `slipway errors` groups by it
        message = record.message or fields.pop("message", "")
        log_data.update(message=message, request_id=getattr(record, "request_id", "-"), release=RELEASE)
        if record.exc_info and record.exc_info[2]:
            log_data["raised"] = place_of(*record.exc_info[1:])
        log_data.update({name: text for name, text in (("exception", error), ("stack", stack)) if text})
        fields.update(
            (name, value)
            for name, value in record.__dict__.items()
            if name not in NO_EXTRA and not str(name).startswith("_")
        )
        for name, value in fields.items():
            log_data[f"extra_{name}" if name in OWN else name] = value
        for name in LONGEST.keys() & log_data.keys():
            log_data[name] = shorten(str(log_data[name]), LONGEST[name])


def as_texts(record: logging.LogRecord) -> logging.LogRecord:
    """Return a copy of a record that JSON cannot tell, or whose arguments do not fit its message: with their texts."""
    made = logging.makeLogRecord(
        {
            text(name): value if name in NO_EXTRA or isinstance(value, int) else text(value)
            for name, value in record.__dict__.items()
        }
    )
    try:
        made.msg = record.getMessage()
    except Exception:
        made.msg = f"{text(record.msg)} {text(record.args)}"
    made.args = ()
    return made


def text(value: object) -> str:
    return value if isinstance(value, str) else WORDS.repr(value)


def shorten(text: str, most: int) -> str:
    """Return a text that as JSON has at most so many bytes: its begin and, twice as long, its end."""
    kept = text
    size = most
    while len(dumps(kept)) > most:
        size = size * 3 // 4
        kept = f"{text[: size // 3]}\n  … cut …\n{text[-size * 2 // 3 :]}"
    return kept


def place_of(error: BaseException, trace: Any) -> dict[str, str]:
    """Return the exception's type, and the innermost line of the project's own code, which `slipway errors` groups by.
    The text of the traceback would not do: it has the exception's message, which may be a visitor's. A group of one
    exception, as of asyncio.TaskGroup, counts as that one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1 and error.exceptions[0].__traceback__:
        [error] = error.exceptions
        trace = error.__traceback__
    lines = [(frame.f_code, line) for frame, line in traceback.walk_tb(trace)]
    *_, (code, line) = [entry for entry in lines if not FOREIGN.search(entry[0].co_filename)] or lines
    return {"type": type(error).__name__, "file": code.co_filename, "line": str(line), "function": code.co_name}


def logging_config(json: bool) -> dict[str, Any]:
    passed_on = {"handlers": [], "propagate": True}
    of_tasks = {**passed_on, "filters": [drop_arguments]}
    of_visitors = {**passed_on, "filters": [make_warning]}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"console": {"()": Json if json else Text}},
        "handlers": {
            "console": {"class": "logging.StreamHandler", "formatter": "console", "filters": [add_request_id]}
        },
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {
            **dict.fromkeys(("django", "django.server", "gunicorn.error", "gunicorn.access"), passed_on),
            **dict.fromkeys(("celery.app.trace", "celery.worker.strategy"), of_tasks),
            **{
                f"django.security.{name}": of_visitors
                for name in ("DisallowedHost", "RequestDataTooBig", "TooManyFieldsSent", "TooManyFilesSent")
            },
            "gunicorn.http.wsgi": {"level": "ERROR"},  # Django answers HEAD with a body, which gunicorn drops
            "uvicorn": {"level": "WARNING"},  # gunicorn already logs each start, and slipway each websocket
            "axes": {"level": "ERROR"},  # slipway.security.sign_in already logs failures
        },
    }
