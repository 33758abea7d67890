"""Prepare gunicorn's first process: workers share the memory of what it has loaded."""

import contextlib
import gc
import logging
import signal
import sys

import django.db
from django.conf import settings
from django.core.cache import caches
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.template import engines
from django.template.backends.django import DjangoTemplates
from django.urls import get_resolver
from django.utils.module_loading import import_string

log = logging.getLogger(__name__)
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def take_signals() -> None:
    """Take the signals ENDS, which pre_fork blocks, in first process and worker. Otherwise a new worker's handlers from
    the first process would swallow these signals, and gunicorn would wait for a timeout."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)


def warm_up() -> None:
    """Load what each worker would otherwise load at its first request."""
    try:
        get_resolver().url_patterns  # noqa: B018  it imports the views
    except django.db.Error:  # no database or no tables yet: /readyz reports both later
        log.warning("importing the URLs failed on a database query: workers import them later", exc_info=True)
    for load in (load_clients, load_templates, lambda: MigrationLoader(None)):
        with contextlib.suppress(Exception):  # /readyz reports what is wrong
            load()


def load_clients() -> None:
    for path in settings.READINESS.values():
        import_string(path)
    for name in settings.CACHES:
        caches.create_connection(name)
    if celery := sys.modules.get("slipway.celery"):
        app = celery.project_app()
        app.amqp  # noqa: B018  Celery creates it at the first access: do it now
        app.connection_for_write().get_transport_cls()  # imports the broker's library, without connecting


def load_templates() -> None:
    """Import what templates use: tags, filters, loaders and context processors."""
    for backend in engines.all():  # this imports tags and filters
        if isinstance(backend, DjangoTemplates):
            backend.engine.template_loaders  # noqa: B018  an engine imports them at the first access
            backend.engine.template_context_processors  # noqa: B018  likewise


def freeze() -> None:
    """Look for garbage from now on, but not among what is loaded: that would write to it, and so copy it."""
    if not gc.get_freeze_count():
        gc.freeze()
    gc.enable()


def close_connections() -> None:
    """Close connections before a fork: two processes on one would mix up answers. Redis's client opens its own."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        if connection.settings_dict["OPTIONS"].get("pool"):  # pools have threads, which forks do not inherit
            connection.close_pool()  # type: ignore[attr-defined]  # only PostgreSQL's has it
    if celery := sys.modules.get("slipway.celery"):
        celery.disconnect()
