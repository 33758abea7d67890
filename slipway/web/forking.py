"""What gunicorn's first process does before it forks workers off: they get all that it has loaded, and share what they
do not write to. (gc.freeze was tried: it saves nothing that can be measured.)"""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from importlib import import_module

import django.db
from django.conf import settings
from django.core.cache import caches
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.urls import get_resolver
from django.utils.module_loading import import_string

log = logging.getLogger(__name__)
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def hold_signals() -> None:
    """Let a signal to end wait while this process forks a worker, until `take_signals` there: what a worker inherits
    until it has handlers of its own would swallow it, and gunicorn would wait for that worker to the last second."""
    first = os.getpid()

    def mask(how: int) -> None:
        if os.getpid() == first:  # a worker's own children have nothing to do with it
            signal.pthread_sigmask(how, ENDS)
    os.register_at_fork(before=lambda: mask(signal.SIG_BLOCK), after_in_parent=lambda: mask(signal.SIG_UNBLOCK))


def take_signals() -> None:
    """In a worker that has its handlers: what has waited comes now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)


def warm_up() -> None:
    """Load what each worker would load for itself with its first requests."""
    for name in ("slipway.health.metrics", "django.db.migrations.executor"):
        import_module(name)
    try:
        get_resolver().url_patterns  # and so the views
    except django.db.Error:  # away, or not migrated yet: the site tells of both when it is there
        log.warning("a query that is made when the URLs are imported fails: workers load them later", exc_info=True)
    for load in (load_clients, lambda: MigrationLoader(None)):
        with contextlib.suppress(Exception):  # /readyz tells what is wrong with a part
            load()


def load_clients() -> None:
    """What asks the parts of the site, and talks to caches and broker; nobody connects yet."""
    for path in settings.READINESS.values():
        import_string(path)
    for name in settings.CACHES:
        caches.create_connection(name)
    if celery := sys.modules.get("slipway.celery"):
        celery.load_transport()


def let_go() -> None:
    """Close what loading has opened, as two processes on one connection would read each other's answers."""
    for close in closers():
        try:
            close()
        except Exception:  # the worker does without, as with any that the other end has closed
            log.warning("a connection could not be closed before a fork", exc_info=True)


def closers() -> Iterator[Callable[[], object]]:
    for connection in connections.all(initialized_only=True):
        yield connection.close
        if getattr(connection, "_connection_pools", None):  # with threads, which no worker inherits
            yield getattr(connection, "close_pool")
    for cache in caches.all(initialized_only=True):
        if hasattr(cache, "disconnect"):
            yield cache.disconnect
    if celery := sys.modules.get("slipway.celery"):
        yield celery.disconnect
