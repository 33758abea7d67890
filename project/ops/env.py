"""Settings from the environment: read one by one, complained of all at once."""

import re
from pathlib import Path

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

REQUIRED = object()
LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")
QUOTES = ("'", '"')


class SettingsError(ImproperlyConfigured):
    """Everything that is wrong with the settings: a line each, which names the variable and what it should hold."""

    def __init__(self, problems):
        super().__init__("; ".join(problems))
        self.problems = problems

    def report(self):
        return "\n".join(f"settings: {problem}" for problem in self.problems)


class Env:
    """Reads variables out of a mapping. What is missing or malformed is kept until `check` raises it, together.

    `name=None` values: a variable that is empty counts as not set, as env files cannot leave one out.
    """

    def __init__(self, variables, problems=()):
        self.variables = variables
        self.problems = list(problems)

    def text(self, name, default=REQUIRED, example=""):
        """The variable's text, or the default where it is unset or empty."""
        value = self.variables.get(name, "")
        if value:
            return value
        if default is REQUIRED:
            self.problems.append(f"{name} is not set; for example {name}={example}")
            return ""
        return default

    def parsed(self, name, parse, default, example):
        """`parse(text)` of the variable; a ValueError of `parse` becomes a problem that shows the example, never
        the value, as it may be a secret."""
        text = self.text(name, "" if default is not REQUIRED else REQUIRED, example)
        if not text:
            return None if default is REQUIRED else default
        try:
            return parse(text)
        except ValueError as error:
            self.problems.append(f"{name} {error}; for example {name}={example}")
            return None

    def number(self, name, default=REQUIRED, example="10"):
        """A whole number."""
        return self.parsed(name, whole_number, default, example)

    def flag(self, name, default=False):
        """True for `true`, False for `false`; nothing else is taken for either."""
        return self.parsed(name, flag, default, "true")

    def words(self, name, default=()):
        """A list of what commas separate."""
        return self.parsed(name, lambda text: [word.strip() for word in text.split(",")], list(default), "a,b")

    def url_path(self, name, default):
        """A path on this site, as Django's urls.py takes it: `staff/`, also where `/staff` was given."""
        return self.parsed(name, url_path, default, default)

    def database(self, name="DATABASE_URL", default=REQUIRED):
        """Django's settings of the database that a URL names."""
        return self.url(name, database, default, "postgres://user:password@db.example:5432/name")

    def url(self, name, parse, default, example):
        """`parse` of the variable's URL or of the default's; nothing where it is malformed, which `check` will say."""
        if default is not REQUIRED and not self.text(name, ""):
            return parse(default)
        return self.parsed(name, parse, REQUIRED, example) or {}

    def cache(self, name="CACHE_URL", default=REQUIRED):
        """Django's settings of the cache that a URL names: redis://, rediss:// or locmem://."""
        return self.url(name, cache, default, "redis://cache.example:6379/1")

    def check(self):
        """Raise SettingsError where anything read so far was missing or malformed."""
        if self.problems:
            raise SettingsError(self.problems)


def whole_number(text):
    if not re.fullmatch(r"-?\d+", text):
        raise ValueError("is not a whole number")
    return int(text)


def flag(text):
    if text not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return text == "true"


def url_path(text):
    if not re.fullmatch(r"/?[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*/?", text):
        raise ValueError("is not a path on this site, of letters, digits and . _ ~ - between slashes")
    return text.strip("/") + "/"


def database(url):
    """Django's settings for a database URL, with what both engines need to be dependable. Raises ValueError.

    SQLite: a write waits for its turn from the start of a transaction (IMMEDIATE) and readers never wait (WAL).
    PostgreSQL: an unreachable server is given up after 3 s, and a dead connection noticed within 30.
    """
    try:
        settings = dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True)
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
        options.update({"connect_timeout": 3, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
                        **options})
    return settings


def cache(url):
    """Django's settings for a cache URL. Raises ValueError."""
    if url == "locmem://":
        return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    if not re.match(r"rediss?://.", url):
        raise ValueError("is neither redis://…, rediss://… nor locmem://")
    return {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url,
            "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 2}}


def read_file(path):
    """The variables of an env file, and what is wrong with it, a text a line. No file, no variables.

    The dialect is that of `docker run --env-file`, less what it takes silently and the shell takes otherwise:
    `KEY=value`, one line each; no quotes, no `export`, no `$NAME` replaced; `#` starts a comment line.
    """
    path = Path(path)
    variables, problems = {}, []
    for number, line in enumerate(path.read_text().splitlines() if path.exists() else (), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if not match:
            problems.append(f"{path.name} line {number} is not KEY=value")
        elif match[2].startswith(QUOTES) and match[2].endswith(match[2][0]):
            problems.append(f"{path.name} line {number}: {match[1]} is in quotes, which would be part of it: drop them")
        else:
            variables[match[1]] = match[2]
    return variables, problems
