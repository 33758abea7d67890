"""Logs on stderr: readable in development, one JSON object a line in production; each line has the request's id."""

import logging

from . import request_id


class RequestIdFilter(logging.Filter):
    """Gives each record the current request id, so that a format may name it."""

    def filter(self, record):
        record.request_id = request_id.current() or "-"
        return True


def logging_config(json):
    """Django's LOGGING: everything goes to stderr once, as JSON or as text."""
    text = {"format": "{asctime} {levelname} {name} [{request_id:.8}] {message}", "style": "{"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": "project.ops.logging.RequestIdFilter"}},
        "formatters": {"console": text},
        "handlers": {"console": {"class": "logging.StreamHandler", "filters": ["request_id"], "formatter": "console"}},
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {"django": {"handlers": [], "propagate": True}},
    }
