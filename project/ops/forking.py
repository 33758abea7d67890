"""What gunicorn's first process does before it forks workers off: they get all that it has loaded, and share what they
do not write to. (gc.freeze was tried: it saves nothing that can be measured.)"""

import sys
from importlib import import_module

from django.core.cache import caches
from django.db import connections
from django.urls import get_resolver


def warm_up() -> None:
    """Load what each worker would load for itself with its first requests."""
    for name in ("project.ops.metrics", "django.db.migrations.executor"):
        import_module(name)
    get_resolver().url_patterns  # and so the views


def let_go() -> None:
    """Close what loading has opened, as two processes on one connection would read each other's answers."""
    connections.close_all()
    for cache in caches.all(initialized_only=True):
        if hasattr(cache, "disconnect"):
            cache.disconnect()
    if celery := sys.modules.get("project.celery"):
        celery.disconnect()
