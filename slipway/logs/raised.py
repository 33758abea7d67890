"""Writes to stderr what views, streams and tasks raise, in Slipway's form, whatever has become of loggers: a team may
disable them, or filter their records. Signals of Django and Celery tell it just before these log it."""

import contextlib
import logging
import sys
import threading
from typing import Any

from django.core.signals import got_request_exception

from .logging import Json, add_request_id, place_of

FORM = Json()
PLACES = "_slipway_raised"  # attribute of a request: the places of its errors that were written
MARK = "_slipway_written"  # attribute of an exception that was written
TASK = "Task %(name)s[%(id)s] %(description)s: %(exc)s"  # as Celery says it
BY_MARK = ("celery.worker.request", "gunicorn.error", "uvicorn.error")
# Ids of tasks: `written`, whose failure this thread wrote last; `limited`, which Celery told last that it had ended.
_last = threading.local()
_connected: list[bool] = []  # not empty in production


def connect() -> None:
    got_request_exception.connect(write_request_error)
    _connected[:] = [True]


def connect_tasks() -> None:
    from celery import signals  # not at the top: a project may lack Celery

    signals.task_failure.connect(write_task_error)


def write_request_error(request: Any = None, **_: Any) -> None:
    """Write what a view has raised. If handler500 fails itself, each middleware meets that anew: write it once."""
    with contextlib.suppress(Exception):
        error = sys.exc_info()[1]
        places = vars(request).setdefault(PLACES, []) if request else []
        if error and (place := place_of(error, error.__traceback__)) not in places:
            words = "Internal Server Error", getattr(request, "path", "-")
            write("django.request", "%s: %s", *words, error=error, request=request)
            places.append(place)
        note(error)


def write_task_error(sender: Any, task_id: str, exception: BaseException, **_: Any) -> None:
    """Write what a task has raised, unless it expects that (`throws`), or Celery has just logged its time limit."""
    with contextlib.suppress(Exception):
        is_logged = type(exception).__name__ == "TimeLimitExceeded" and last("limited") == task_id
        if not is_logged and not isinstance(exception, getattr(sender, "throws", ())):
            words = {
                "name": sender.name,
                "id": task_id,
                "description": "raised unexpected",
                "exc": text_of(exception),
            }
            error = sys.exc_info()[1] or exception  # Celery may have made a copy
            write("celery.app.trace", TASK, words, error=error, id=task_id)
            _last.written = task_id


def write_server_error(logger: str, message: str, *words: object, id: str = "") -> None:
    """Write the exception that reached the server, as of a stream, unless it was written before."""
    with contextlib.suppress(Exception):
        error = sys.exc_info()[1]
        if _connected and error and not is_noted(error):
            write(logger, message, *words, error=error, id=id)


def write(logger: str, message: str, *words: object, error: BaseException, id: str = "", **extra: object) -> None:
    """Write a line, or raise any exception: stderr may be gone. `id` stands for a request's if there is none here."""
    exc_info = (type(error), error, error.__traceback__)
    source = logging.getLogger(logger)
    record: Any = source.makeRecord(logger, logging.ERROR, "", 0, message, words, exc_info, extra=extra)
    add_request_id(record)
    if id and record.request_id == "-":
        record.request_id = id
    stream = sys.__stderr__ or sys.stderr  # Celery may put a logger in place of sys.stderr
    stream.write(FORM.format(record) + "\n")
    stream.flush()
    note(error)


def note(error: BaseException | None) -> None:
    vars(error)[MARK] = True  # an exception may be a frozen dataclass


def is_noted(error: BaseException | None) -> bool:
    """Return True for an exception that was written, that handler500 raised after it, or that billiard wraps."""
    chain = error, getattr(error, "__context__", None), getattr(error, "exc", None)
    return any(isinstance(each, BaseException) and MARK in vars(each) for each in chain)


def text_of(error: BaseException) -> str:
    try:
        return repr(error)
    except Exception:
        return type(error).__name__


def last(kind: str) -> object:
    return getattr(_last, kind, None)


def is_new(record: logging.LogRecord) -> bool:
    """Return False for what Django, Celery and the server log of an exception that was written."""
    if record.name == "django.request":
        has_raised = getattr(getattr(record, "request", None), PLACES, None)
        return not (has_raised and (record.exc_info or record.levelno >= logging.ERROR))
    if record.name == "celery.app.trace" and record.exc_info and isinstance(record.args, dict):
        return record.args.get("id") != last("written")
    if record.name == "celery.worker.request" and str(record.msg).startswith("Hard time limit"):
        _last.limited = record.args[-1] if isinstance(record.args, tuple) and record.args else None
    return record.name not in BY_MARK or not (record.exc_info and is_noted(record.exc_info[1]))
