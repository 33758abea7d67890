"""Settings from the environment: read one by one, complained of all at once."""

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import dj_database_url

from .envfile import read_file

T = TypeVar("T")
D = TypeVar("D")


class Required:
    """In the place of a default: there is none."""


REQUIRED = Required()
# A variable that a release gave up → its new name, and what the value becomes.
RENAMED = {"DATABASE_TIMEOUTS": "DATABASE_POOLER (true for false)"}
POSTGRES = "postgres://user:password@db.example:5432/name"


class SettingsError(Exception):
    """Everything that is wrong with the settings: a line each, which names the variable and what it should hold.

    No ImproperlyConfigured: some of Django's commands go on after that.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems

    def leave(self) -> NoReturn:
        """End this process with those lines on stderr, and 64."""
        print("\n".join(f"settings: {problem}" for problem in self.problems), file=sys.stderr)
        sys.exit(64)


class Env:
    """Reads variables out of a mapping. What is missing or malformed is kept until `check` raises it, together.

    A variable that is empty counts as not set, as env files cannot leave one out. Instead of any NAME there may be
    NAME_FILE, the path of a file that holds the value (less a line end): so secrets come without being in the
    environment, and values may have several lines.

    With `examples` a required variable that is not set has the value of its example.
    """

    def __init__(self, variables: Mapping[str, str], examples: bool = False) -> None:
        self.variables = variables
        self.examples = examples
        self.problems: list[str] = []
        self.checked = False

    def read(self, path: Path) -> None:
        """Add the variables of an env file, where there is one. Those that are there already win."""
        variables, problems = read_file(path)
        self.variables = {**variables, **self.variables}
        self.problems += problems

    def problem(self, text: str) -> None:
        """Keep what is wrong, once. Raises SettingsError after `check`, which would tell it no more."""
        if text not in self.problems:
            self.problems.append(text)
        if self.checked:
            self.check()

    def text(self, name: str, default: str | Required = REQUIRED, example: str = "") -> str:
        """The variable's text, or the default where it is unset or empty."""
        value, path = self.variables.get(name, ""), self.variables.get(f"{name}_FILE", "")
        if value and path:
            self.problem(f"{name} and {name}_FILE are both set; leave one out")
        if value:
            return value
        if path:
            return self.file(name, path)
        if isinstance(default, Required) and not self.examples:
            self.problem(f"{name} is not set; for example {name}={example}")
            return ""
        return example if isinstance(default, Required) else default

    def file(self, name: str, path: str) -> str:
        """The text of a file that a variable names. The path is not told: it may be a secret put in the wrong place."""
        try:
            value = Path(path).read_text("utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, ValueError) as error:
            self.problem(f"{name}_FILE names a file that cannot be read: {getattr(error, 'strerror', '') or 'no text'}")
            return ""
        if not value:
            self.problem(f"{name}_FILE names an empty file")
        return value

    def parsed(self, name: str, parse: Callable[[str], T], default: D | Required, example: str) -> T | D | None:
        """`parse(text)` of the variable; an error of `parse` becomes a problem that shows the example, never the value,
        as it may be a secret. A ValueError's text is told where it reads on from the name: "is not …"."""
        text = self.text(name, REQUIRED if isinstance(default, Required) else "", example)
        if not text:
            return None if isinstance(default, Required) else default
        try:
            return parse(text)
        except (ValueError, ArithmeticError, TypeError, LookupError) as error:
            told = str(error) if re.match("(is|has|needs|names|looks) ", str(error)) else "is malformed"
            self.problem(f"{name} {told}; for example {name}={example}")
            return None

    def number(self, name: str, default: int | Required = REQUIRED, example: str = "", least: int = 0) -> int | None:
        """A whole number, no smaller than `least`."""
        return self.parsed(name, lambda text: whole_number(text, least), default, example or str(max(10, least)))

    def flag(self, name: str, default: bool = False) -> bool | None:
        """True for `true`, False for `false`; nothing else is taken for either."""
        return self.parsed(name, flag, default, "true")

    def words(self, name: str, default: Iterable[str] = ()) -> list[str]:
        """A list of what commas separate."""
        return self.parsed(name, lambda text: [word.strip() for word in text.split(",")], list(default), "a,b") or []

    def url_path(self, name: str, default: str) -> str | None:
        """A path on this site, as Django's urls.py takes it: `staff/`, also where `/staff` was given."""
        return self.parsed(name, url_path, default, default)

    def database(self, name: str = "DATABASE_URL", default: str | Required = REQUIRED) -> dict[str, Any]:
        """Django's settings of the database that a URL names."""
        return self.url(name, database, default, POSTGRES)

    def url(self, name: str, parse: Callable[[str], dict[str, Any]], default: str | Required,
            example: str) -> dict[str, Any]:
        """`parse` of the variable's URL or of the default's; nothing where it is malformed, which `check` will say."""
        if not isinstance(default, Required) and not self.text(name, ""):
            return parse(default)
        return self.parsed(name, parse, REQUIRED, example) or {}

    def cache(self, name: str = "CACHE_URL", default: str | Required = REQUIRED) -> dict[str, Any]:
        """Django's settings of the cache that a URL names: redis://, rediss:// or locmem://."""
        return self.url(name, cache, default, "redis://cache.example:6379/1")

    def check(self) -> None:
        """Raise SettingsError where anything read so far was missing or malformed, or an old name is set."""
        self.checked = True
        old = [f"{name} is {new} now: set that" for name, new in RENAMED.items()
               if self.variables.get(name) or self.variables.get(f"{name}_FILE")]
        if problems := [*self.problems, *old]:
            raise SettingsError(problems)


# The settings': settings_shared.py asks it, then the file of the environment, which checks it in the end.
env = Env(os.environ)


def whole_number(text: str, least: int = 0) -> int:
    """The number a text holds. Raises ValueError."""
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError("is not a whole number")
    if int(text) < least:
        raise ValueError(f"is less than {least}")
    return int(text)


def flag(text: str) -> bool:
    """True or False. Raises ValueError for any other text."""
    if text not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return text == "true"


def url_path(text: str) -> str:
    """The path with a slash at its end and none before it. Raises ValueError."""
    if not re.fullmatch(r"/?[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*/?", text):
        raise ValueError("is not a path on this site, of letters, digits and . _ ~ - between slashes")
    return text.strip("/") + "/"


def database(url: str) -> dict[str, Any]:
    """Django's settings for a database URL, with what both engines need to be dependable. Raises ValueError.

    SQLite: a write waits for its turn from the start of a transaction (IMMEDIATE) and readers never wait (WAL).
    PostgreSQL: an unreachable server is given up after 3 s, and a dead connection noticed within 30.
    """
    check_database(url)
    try:
        settings: dict[str, Any] = {**dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True)}
    except Exception:  # the library raises several kinds, and some quote the URL with its password
        raise ValueError("is not a database URL") from None
    options = settings.setdefault("OPTIONS", {})
    if settings["ENGINE"] == "django.db.backends.sqlite3":
        settings.update(CONN_MAX_AGE=0, CONN_HEALTH_CHECKS=False)
        options.update(transaction_mode="IMMEDIATE", timeout=20,
                       init_command="PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL")
    elif settings["ENGINE"] == "django.db.backends.postgresql":
        if not settings["NAME"]:
            raise ValueError("names no database")
        settings["OPTIONS"] = {"connect_timeout": 3, "keepalives_idle": 10, "keepalives_interval": 5,
                               "keepalives_count": 3, "tcp_user_timeout": 30_000, **options}
    return settings


def check_database(url: str) -> None:
    """What the library lets pass, or tells less clearly. Raises ValueError."""
    scheme, slashes, rest = url.partition("://")
    if not slashes:
        raise ValueError("is not a database URL")
    if scheme == "sqlite":
        if rest != ":memory:" and (not rest.startswith("//") or len(rest) < 3):
            raise ValueError("names no file by its whole path (sqlite:////data/db.sqlite3, with four slashes)")
        return
    try:
        urlsplit(url).port
    except ValueError:
        raise ValueError("has a port that is no number, or a character in its password to be written as %XX "
                         "(%2F for /, %40 for @, %23 for #)") from None
    if re.search("[#\\s]", rest):
        raise ValueError("has a space or a # in it, to be written as %20 and %23")


def cache(url: str) -> dict[str, Any]:
    """Django's settings for a cache URL. Raises ValueError."""
    if url == "locmem://":
        return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    if not re.match(r"rediss?://.", url):
        raise ValueError("is neither redis://…, rediss://… nor locmem://")
    if not find_spec("redis"):  # Celery's pins bring it; a project may do without those
        raise ValueError("needs redis in requirements.in")
    return {"BACKEND": "slipway.web.cache.RedisCache", "LOCATION": url,
            "OPTIONS": {"socket_connect_timeout": 0.9, "socket_timeout": 0.9}}
