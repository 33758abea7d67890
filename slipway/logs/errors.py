"""Errors on stderr in Slipway's form, which `slipway errors` reads, whatever a team's LOGGING does with them."""

import copy
import logging
import sys
from collections.abc import Mapping
from logging.config import dictConfig
from typing import Any

from .logging import Json, Text, add_request_id, drop_arguments
from .raised import is_new

NAME = "slipway_errors"
OF_TASKS = ("celery.app.trace", "celery.worker.strategy")
FORMS = (Json, Text, "slipway.logs.logging.Json", "slipway.logs.logging.Text")
STREAMS = ("ext://sys.stderr", "ext://sys.stdout", sys.stderr, sys.stdout)  # Docker reads both
# Errors that visitors can cause: see slipway.logs.logging.
OF_VISITORS = {
    f"django.security.{name}"
    for name in ("DisallowedHost", "RequestDataTooBig", "TooManyFieldsSent", "TooManyFilesSent")
}


class Handler(logging.StreamHandler[Any]):
    """Writes errors to stderr, whatever the team's LOGGING does with them."""

    def handle(self, record: logging.LogRecord) -> Any:
        """Handle a copy: a team's handlers get the record as it was."""
        if record.name in OF_VISITORS:
            return False
        record = copy.copy(record)
        if record.name in OF_TASKS:
            drop_arguments(record)
        return super().handle(record)


def reaches_journal(handler: Mapping[str, Any]) -> bool:
    """Return False for a handler of a file, or of anything else in Python's own package that Docker does not read."""
    name = str(handler.get("class", ""))
    stream = handler.get("stream") or sys.stderr
    return stream in STREAMS and (not name.startswith("logging.") or name == "logging.StreamHandler")


def configure(settings: dict[str, Any]) -> None:
    """Configure logging: settings_docker.py names this as LOGGING_CONFIG."""
    dictConfig(with_error_handlers(settings))


def with_error_handlers(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return LOGGING with a handler for errors at the root, and at each logger whose records do not get there."""
    formatters = settings.get("formatters") or {}
    handlers = settings.get("handlers") or {}
    own = {name for name, each in formatters.items() if each.get("()", each.get("class")) in FORMS}
    ours = {name for name, each in handlers.items() if each.get("formatter") in own and reaches_journal(each)}

    def heard(logger: Mapping[str, Any]) -> dict[str, Any]:
        named = logger.get("handlers") or []
        return {**logger, "handlers": named if ours & {*named} else [*named, NAME]}

    loggers = {**(settings.get("loggers") or {})}
    root = loggers.pop("root", loggers.pop("", {}))  # LOGGING may name the root so, too
    handler = {"()": Handler, "level": "ERROR", "formatter": NAME, "filters": [add_request_id]}
    handlers = {**handlers, NAME: handler}
    once = {name: {**handlers[name], "filters": [*handlers[name].get("filters", ()), is_new]} for name in {*ours, NAME}}
    return {
        **settings,
        "formatters": {**formatters, NAME: {"()": Json}},
        "handlers": {**handlers, **once},
        "disable_existing_loggers": False,  # it would drop the errors of modules that were imported before
        "loggers": {name: each if each.get("propagate", True) else heard(each) for name, each in loggers.items()},
        "root": heard(settings.get("root") or root),
    }
