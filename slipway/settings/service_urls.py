"""Django's settings for the URLs of database and cache."""

import re
from collections.abc import Collection, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import dj_database_url

from .. import values
from . import url_options

MEMORY = "sqlite://:memory:"
# What a database URL says; all else is the project's.
OF_URL = ("NAME", "USER", "PASSWORD", "HOST", "PORT")
OTHER_KINDS = {"sqlite": "sqlite|spatialite", "mysql": "mysql|mariadb", "oracle": "oracle", "mssql": "mssql|sql_server"}
# With SQLite, a transaction starts only when no other is open. Reads in autocommit do not wait.
SQLITE = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
}
# Of a driver: its module, and what makes a connection string of options.
PSYCOPG = "psycopg", "psycopg.conninfo", "make_conninfo"
PSYCOPG2 = "psycopg2", "psycopg2.extensions", "make_dsn"
POSTGRES = {
    "connect_timeout": 3,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def database(url: str, own: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return Django's settings for a database URL, with what the project's entry of DATABASES (`own`) sets besides.
    Raise ValueError if the URL is malformed."""
    check_database(url)
    try:
        settings: dict[str, Any] = {**dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True)}
    except ValueError:  # some quote the URL with its password
        raise ValueError("is not a database URL") from None
    check_database_options(urlsplit(url).query if url != MEMORY else "", kind(settings["ENGINE"]))
    options = settings.pop("OPTIONS", {})
    defaults: Mapping[str, Any] = {}
    if kind(settings["ENGINE"]) == "sqlite":
        settings.update(CONN_MAX_AGE=0, CONN_HEALTH_CHECKS=False)
        defaults = SQLITE
    elif kind(settings["ENGINE"]) == "postgresql":
        if not settings["NAME"]:
            raise ValueError("names no database")
        if "pool" in options:
            options["pool"] = pool(options["pool"])
        defaults = POSTGRES
    kept = {name: value for name, value in (own or {}).items() if name not in OF_URL}
    engine = kept.pop("ENGINE", None) or settings["ENGINE"]
    options_of_project = kept.pop("OPTIONS", {})
    if kind(engine) != kind(settings["ENGINE"]):  # as of development's database
        options_of_project = {}
    elif not engine.startswith("django.db.backends."):  # an extension, which a URL need not name
        settings["ENGINE"] = engine
    settings = {**settings, **kept, "OPTIONS": {**defaults, **options_of_project, **options}}
    return {**settings, "CONN_MAX_AGE": 0} if settings["OPTIONS"].get("pool") else settings  # Django refuses both


def kind(engine: str) -> str:
    """Return the kind of a database by its engine: postgresql, unless its name says another one."""
    return next((name for name, pattern in OTHER_KINDS.items() if re.search(pattern, engine)), "postgresql")


def check_database_options(query: str, kind: str) -> None:
    if kind == "sqlite":
        url_options.check(query, url_options.SQLITE)
    elif kind == "postgresql":
        url_options.check(query, url_options.POSTGRES, others=True)
        check_names({name for name, _ in parse_qsl(query)} - url_options.DJANGO.keys())


def check_names(names: Collection[str]) -> None:
    """Raise ValueError if libpq does not know an option of this name."""
    version3 = find_spec("psycopg")
    driver, module, function = PSYCOPG if version3 else PSYCOPG2
    if not names or not (version3 or find_spec(driver)):  # Django tells that a driver is missing
        return
    try:
        getattr(import_module(module), function)(**dict.fromkeys(names, "1"))
    except import_module(driver).ProgrammingError:
        raise ValueError("has an option that Postgres does not know") from None


def pool(size: Any) -> dict[str, Any]:
    """Return psycopg's settings for a pool of at most `size` connections in each process. A request waits at most five
    seconds for one. Raise ValueError if that is no number, or if the package is missing."""
    if type(size) is not int or size < 1:
        raise ValueError("has a pool that is not a number of connections, such as ?pool=8")
    if not find_spec("psycopg_pool"):
        raise ValueError("has a pool, which needs psycopg instead of psycopg2: uv add 'psycopg[binary,pool]'")
    return {"min_size": 1, "max_size": size, "timeout": 5}


def check_database(url: str) -> None:
    scheme, slashes, rest = url.partition("://")
    if not slashes:
        raise ValueError("is not a database URL")
    if scheme == "sqlite":
        if url != MEMORY and (not rest.startswith("//") or len(rest) < 3):
            raise ValueError("needs an absolute path (sqlite:////data/db.sqlite3, with four slashes)")
        return
    values.split(url)
    if re.search("[#\\s]", rest):
        raise ValueError("has a space or a #: write %20 or %23")


def cache(url: str) -> dict[str, Any]:
    """Return Django's settings for a cache URL. Raise ValueError if it is malformed, or redis not installed."""
    if url == "locmem://":
        return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    if not re.match(r"(rediss?|unix)://.", url):
        raise ValueError("is neither redis://…, rediss://…, unix:///path nor locmem://")
    if not find_spec("redis"):  # comes with Celery's requirements, which a project may lack
        raise ValueError("needs redis: uv add redis")
    if re.search("[#\\s]", url):
        raise ValueError("has a space or a #: write %20 or %23")
    parts = values.split(url)
    if parts.scheme == "unix":
        if not re.fullmatch("/.+", parts.path):
            raise ValueError("is not unix:///path/of/redis.sock?db=number")
    elif not parts.hostname or not re.fullmatch("(/[0-9]*)?", parts.path):
        raise ValueError("is not redis://host:port/number, with the number of a database")
    url_options.check(parts.query, url_options.CACHE[parts.scheme])
    settings: dict[str, Any] = {"socket_connect_timeout": 2, "socket_timeout": 2}
    if parts.scheme == "rediss":
        # Before redis-py 6 this is not the default. Without certificates, names cannot be checked.
        settings["ssl_check_hostname"] = ("ssl_cert_reqs", "none") not in parse_qsl(parts.query)
    return {"BACKEND": "slipway.web.cache.RedisCache", "LOCATION": url, "OPTIONS": settings}
