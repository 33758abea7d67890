"""Values of production's settings that need more than a line."""

import os
from collections.abc import Mapping
from typing import Any

from .settings.service_urls import kind
from .values import Site, is_local


def hosts(site: Site) -> list[str]:
    """Return ALLOWED_HOSTS: the site's host name or, without https, all local names."""
    if site.secure or not is_local(site.host):
        return [f"[{site.host}]" if ":" in site.host else site.host]
    return ["localhost", ".localhost", "127.0.0.1", "[::1]"]


def sessions(databases: dict[str, dict[str, Any]], name: str, limits: str, pooler: bool) -> dict[str, dict[str, Any]]:
    """Return DATABASES with `session` of each. `pooler`: the default one is behind a pooler; another one says so by
    DISABLE_SERVER_SIDE_CURSORS, which poolers need."""
    return {
        alias: session(
            database, name, limits, pooler if alias == "default" else bool(database.get("DISABLE_SERVER_SIDE_CURSORS"))
        )
        for alias, database in databases.items()
    }


def session(database: dict[str, Any], name: str, limits: str, pooler: bool = False) -> dict[str, Any]:
    """Return Django's settings `database`. For PostgreSQL, add the session's `name` and `limits`. The variable
    PGOPTIONS overrides `limits`. A `pooler` may give each transaction another session: then set no limits, and turn
    server-side cursors off."""
    if not database.get("ENGINE") or kind(database["ENGINE"]) != "postgresql":
        return database
    options = database.get("OPTIONS", {})
    own = options.get("options", "")
    limited = [own] if pooler else [limits, own, os.environ.get("PGOPTIONS", "")]  # of two values the last holds
    return {
        **database,
        "DISABLE_SERVER_SIDE_CURSORS": pooler or database.get("DISABLE_SERVER_SIDE_CURSORS", False),
        "OPTIONS": {
            "application_name": name[:63],
            **options,
            "options": " ".join(filter(None, limited)),  # "" makes libpq ignore PGOPTIONS
        },
    }


def timeouts(role: str, time_limit: int) -> str:
    """Return Postgres options that limit a statement, a lock wait and an idle transaction. A worker's statement may
    last `time_limit` seconds. Commands, such as migrations, have no limits."""
    if not role:
        return ""
    longest, idle = (time_limit, time_limit) if role == "worker" else (30, 60)
    return f"-c statement_timeout={longest}s -c lock_timeout=10s -c idle_in_transaction_session_timeout={idle}s"


def policy(own: Mapping[str, Any], static_url: str, uploads: Mapping[str, Any]) -> dict[str, Any]:
    """Add external static files and uploads to the Content-Security-Policy `own`, Django's or django-csp's."""
    if "DIRECTIVES" in own:
        return {**own, "DIRECTIVES": policy(own["DIRECTIVES"], static_url, uploads)}
    directives = {**own}
    if not static_url.startswith("/"):
        directives.update(allowed(directives, static_url))
    if bucket := uploads.get("OPTIONS", {}).get("endpoint_url"):
        for name in ("img-src", "media-src"):
            directives[name] = [*directives.get(name, directives.get("default-src", ())), bucket]
    return directives


def allowed(directives: Mapping[str, Any], source: str) -> dict[str, list[str]]:
    """Return default-src and each …-src that allows 'self', with `source` added to them."""
    several = {
        name: [value] if isinstance(value, str) else value or []
        for name, value in directives.items()
        if not isinstance(value, bool)
    }
    return {
        name: [*sources, source]
        for name, sources in several.items()
        if name == "default-src" or ("-src" in name and "'self'" in sources)
    }


# ---- settings of Celery ----


def soft_time_limit(time_limit: int) -> int:
    """Return the seconds after which Celery warns a task that its time limit is near."""
    return time_limit - min(30, max(1, time_limit // 10))


def broker_options(url: str, time_limit: int, role: str) -> dict[str, Any]:
    """Return Celery's broker options for tasks of at most `time_limit` seconds. Role web has shorter timeouts.

    With Redis, an unfinished task is delivered again after visibility_timeout. This timeout is a bit longer
    than the longest task, so that no running task is repeated.
    """
    options: dict[str, Any] = {"confirm_publish": True}
    # A call may wait for such a timeout up to three times: for connection, channel and message. Less than 2 s would
    # fail a visitor whenever a busy machine holds up the broker for a moment.
    haste: dict[str, Any] = {"max_retries": 0, "read_timeout": 2, "write_timeout": 2}
    if url.startswith("redis"):
        options = {"visibility_timeout": time_limit + 60, "socket_keepalive": True, "socket_connect_timeout": 3}
        haste = {"max_retries": 0, "socket_timeout": 2, "socket_connect_timeout": 2}
    return {**options, **haste} if role == "web" else options
