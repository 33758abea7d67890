"""Read settings from the environment and report all problems together."""

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

from django.conf import settings
from django.core.checks import Error, register

from . import values
from .envfile import read_file
from .settings import service_urls

T = TypeVar("T")
D = TypeVar("D")


class Required:
    """The type of REQUIRED, which marks a variable that must be set."""


REQUIRED = Required()
POSTGRES = "postgres://user:password@db.example:5432/name"
MALFORMED = (ValueError, ArithmeticError, LookupError)  # errors of values; a TypeError is the fault of a parser


class SettingsError(Exception):
    """Problems with settings, one line each.

    It does not derive from ImproperlyConfigured, because some Django commands ignore that exception.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems

    def leave(self) -> NoReturn:
        print("\n".join(f"settings: {problem}" for problem in self.problems), file=sys.stderr)
        sys.exit(64)


def load_settings() -> None:
    """Load Django's settings, or print what is wrong and exit: gunicorn and Celery would name neither file nor line."""
    try:
        settings.INSTALLED_APPS  # noqa: B018  reading one loads all
    except SettingsError as error:
        error.leave()
    except Exception:
        traceback.print_exc()
        sys.exit(1)


class Env:
    """Reads environment variables and collects their problems for `check`.

    An empty variable counts as not set. Instead of any NAME, NAME_FILE may give the path of a file with the value. So
    secrets stay out of the environment, and values may have several lines.

    The argument `example` replaces a malformed value or a missing required one, so `check` can report all problems.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.problems: dict[str, bool | None] = {}  # problem → the `examples` of the check that reports it; None: any
        self.examples: bool | None = None  # the argument of check(); None before check() is called
        self.asked = ""  # the name of the first variable that was read

    def read(self, path: Path) -> None:
        """Add the variables of an env file, if it exists. Existing variables, even empty ones, keep their values."""
        if self.asked:
            self.problem(
                f"{path.name} is read too late, after the variable {self.asked}: read it above the "
                "import of settings_base"
            )
        variables, problems = read_file(path)
        self.variables = {**variables, **self.variables}
        # Docker keeps " #", but other readers of a .env take it for the start of a comment.
        problems += [
            f'{path.name}: {name} has " #" in its value: put a comment on a line of its own, or such a value '
            f"into a file that {name}_FILE names"
            for name, value in variables.items()
            if " #" in value
        ]
        if any("not KEY=value" in problem for problem in problems):
            problems.append(f"{path.name}: a value of several lines goes into a file that NAME_FILE=/path/of/it names")
        for problem in problems:
            self.problem(problem)

    def problem(self, text: str, examples: bool | None = None) -> None:
        """Record a problem. Only check(examples) reports it; if `examples` is None, every `check` does. If that check
        has already run, raise SettingsError at once."""
        self.problems.setdefault(text, examples)
        if self.examples is not None and (faults := self.faults(self.examples)):
            raise SettingsError(faults)

    def given(self, name: str) -> str | None:
        """Return the variable's text, None if it is not set, or "" if NAME_FILE names an unreadable or empty file."""
        self.asked = self.asked or name
        value = self.variables.get(name, "")
        path = self.variables.get(f"{name}_FILE", "")
        if value and path:
            self.problem(f"{name} and {name}_FILE are both set: remove one")
        return value or (self.file(name, path) if path else None)

    def file(self, name: str, path: str) -> str:
        """Return a file's text without its last newline. Problems never quote `path`: it may be a secret by mistake."""
        try:
            value = Path(path).read_text("utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, ValueError) as error:
            self.problem(f"{name}_FILE names an unreadable file: {getattr(error, 'strerror', '') or 'not UTF-8 text'}")
            return ""
        if not value:
            self.problem(f"{name}_FILE names an empty file")
        return value

    def text(self, name: str, default: str | Required = REQUIRED, example: str = "") -> str:
        return self.parsed(name, str, default, example)

    def parsed(self, name: str, parse: Callable[[str], T], default: D | Required, example: str) -> T | D:
        """Return the variable's parsed text, or `default` if the variable is not set. If the text is malformed, or
        required but missing, record a problem without the text, as it may be secret. Return the parsed example."""
        given = self.given(name)
        if given:
            try:
                return parse(given)
            except MALFORMED as error:
                self.problem(f"{name} {reason(error)}; for example {name}={example}")
        elif given is None and not isinstance(default, Required):
            return default
        elif given is None:
            self.problem(f"{name} is not set; for example {name}={example}", examples=False)
        return self.stand_in(name, parse, example)

    def stand_in(self, name: str, parse: Callable[[str], T], example: str) -> T:
        """Return the parsed example, or None if `parse` refuses it."""
        try:
            return parse(example)
        except MALFORMED as error:
            if self.given(name) is None:
                self.problem(f"{name} is not set, and its example {reason(error)}: {name}={example}", examples=True)
            return cast(T, None)

    def number(self, name: str, default: int | Required = REQUIRED, example: str = "", least: int = 0) -> int:
        return self.parsed(name, lambda text: whole_number(text, least), default, example or str(max(10, least)))

    def flag(self, name: str, default: bool = False) -> bool:
        return self.parsed(name, lambda text: one_of(text, ("true", "false")) == "true", default, "true")

    def words(self, name: str, default: Iterable[str] = ()) -> list[str]:
        return self.parsed(name, lambda text: [word.strip() for word in text.split(",")], list(default), "a,b")

    def choice(self, name: str, of: Sequence[str]) -> str:
        """Return the variable's text, or `of[0]` if it is not set. A text that is not in `of` is a problem."""
        return self.parsed(name, lambda text: one_of(text, of), of[0], of[-1])

    def url_path(self, name: str, default: str) -> str:
        """Return a path for Django's urls.py: `/staff` becomes `staff/`."""
        return self.parsed(name, url_path, default, default)

    def database(
        self,
        name: str = "DATABASE_URL",
        default: str | Required = REQUIRED,
        own: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return an entry of DATABASES: of the URL, and what the project's entry `own` sets besides, as
        ATOMIC_REQUESTS."""
        return self.url(name, partial(service_urls.database, own=own), default, POSTGRES)

    def databases(
        self, own: object, name: str = "DATABASE_URL", default: str | Required = REQUIRED
    ) -> dict[str, dict[str, Any]]:
        """Return DATABASES: the project's, `own`, with the default one's address and account by the URL."""
        problems = [*malformed_databases(own)]
        for text in problems:
            self.problem(text)
        entries: dict[str, Any] = {} if problems else cast(dict[str, Any], own)
        return {**entries, "default": self.database(name, default, own=entries.get("default"))}

    def cache(self, name: str = "CACHE_URL", default: str | Required = REQUIRED) -> dict[str, Any]:
        return self.url(name, service_urls.cache, default, "redis://cache.example:6379/1")

    def storage(self, name: str = "STORAGE_URL", default: str = "") -> dict[str, Any]:
        return self.url(name, values.storage, default, values.STORAGE)

    def url(
        self, name: str, parse: Callable[[str], dict[str, Any]], default: str | Required, example: str
    ) -> dict[str, Any]:
        if not isinstance(default, Required) and self.given(name) is None:
            return parse(default)
        return self.parsed(name, parse, REQUIRED, example) or {}

    def folder(self, path: Path) -> Path:
        try:
            path.mkdir(exist_ok=True)
        except OSError as error:
            self.problem(f"cannot make the folder {path} for development's data: {error.strerror}")
        return path

    def check(self, examples: bool = False) -> None:
        """If there are problems, print them and exit with 64. The settings of each environment end with this call.
        If `examples` is True, examples may replace missing required variables."""
        self.examples = examples
        if faults := self.faults(examples):
            SettingsError(faults).leave()

    def faults(self, examples: bool) -> list[str]:
        return [text for text, when in self.problems.items() if when in (None, examples)]


# Settings modules read their variables from env. Those that import settings_base call env.check() at their end.
env = Env(os.environ)


@register()
def ends_with_check(**_: Any) -> list[Error]:
    """Report settings that read variables, but do not end with env.check()."""
    text = "nothing reports missing or malformed variables: end the settings with env.check()"
    return [Error(text, id="slipway.E014")] if env.asked and env.examples is None else []


def malformed_databases(own: object) -> Iterator[str]:
    """Yield what is wrong with a project's DATABASES, without a value, as it may be secret."""
    if not isinstance(own, dict):
        yield f'DATABASES is {shown_type(own)}, not a dict such as {{"default": {{"ATOMIC_REQUESTS": True}}}}'
        return
    for alias, entry in own.items():
        if not isinstance(entry, dict):
            yield f"DATABASES[{alias!r}] is {shown_type(entry)}, not a dict"
        elif not isinstance(entry.get("OPTIONS", {}), dict):
            yield f"DATABASES[{alias!r}]['OPTIONS'] is {shown_type(entry['OPTIONS'])}, not a dict"


def shown_type(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"


def reason(error: Exception) -> str:
    return str(error) if re.match("(is|has|needs|names|looks) ", str(error)) else "is malformed"


def whole_number(text: str, least: int = 0) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError("is not a whole number")
    if int(text) < least:
        raise ValueError(f"is less than {least}")
    return int(text)


def one_of(text: str, words: Sequence[str]) -> str:
    if text not in words:
        raise ValueError(f"is neither {' nor '.join(words)}")
    return text


def url_path(text: str) -> str:
    if not re.fullmatch(r"/?[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*/?", text):
        raise ValueError("is not a path on this site: use letters, digits and . _ ~ - between slashes")
    return text.strip("/") + "/"
