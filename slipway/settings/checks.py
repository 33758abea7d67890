"""Checks for `manage.py check`: the settings contain what slipway needs, and those of production are assigned once."""

import ast
import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import Error, Warning, register

OURS = "slipway.web.middleware."


def first_is_ours() -> bool:
    before = settings.MIDDLEWARE[: settings.MIDDLEWARE.index(f"{OURS}Probes")] if has_middleware("Probes") else []
    return all(name.startswith(OURS) for name in before)


def has_middleware(middleware: str) -> bool:
    return f"{OURS}{middleware}" in settings.MIDDLEWARE


def is_production() -> bool:
    return str(settings.SETTINGS_MODULE).endswith(".settings_docker")


def may_warn() -> bool:
    """Return False in production's containers: the image's build has warned, and each command would warn again."""
    return not is_production() or "IMAGE_BUILD" in os.environ


NEEDS: list[tuple[str, Callable[[], bool], str]] = [  # (id, what must hold, what to do if it does not)
    (
        "slipway.E003",
        lambda: has_middleware("Probes"),
        "MIDDLEWARE has no Probes: nothing answers /healthz and /readyz, so no release can go live: add "
        f'"{OURS}Probes" after RequestId',
    ),
    (
        "slipway.E005",
        first_is_ours,
        f'MIDDLEWARE has classes before Probes that may refuse or redirect a probe: move "{OURS}Probes" before them, '
        "after RequestId",
    ),
    (
        "slipway.E006",
        lambda: bool(getattr(settings, "READINESS", None)),
        "READINESS names no checks: a release would count as ready even without a database: "
        'set READINESS = {"database": "slipway.health.checks.database", …}',
    ),
    (
        "slipway.E007",
        lambda: getattr(settings, "SERVER", "wsgi") in ("wsgi", "asgi"),
        'SERVER is neither wsgi nor asgi: set SERVER = "wsgi"',
    ),
    (
        "slipway.E009",
        lambda: not is_production() or not settings.DEBUG,
        "DEBUG is on in production: error pages show settings to visitors: set DEBUG = False",
    ),
    (
        "slipway.E011",
        lambda: has_middleware("TooMany") or "slipway.security.hashers." not in str(settings.PASSWORD_HASHERS),
        f'MIDDLEWARE has no TooMany: if many sign in at once, some get error 500: add "{OURS}TooMany"',
    ),
    (
        "slipway.E012",
        lambda: not getattr(settings, "CELERY_BROKER_URL", "") or apps.is_installed("django_celery_beat"),
        'INSTALLED_APPS has no django_celery_beat, which stores beat\'s schedule: add "django_celery_beat"',
    ),
]


@register()
def needs(**_: Any) -> list[Error]:
    return [Error(text, id=id) for id, holds, text in NEEDS if not holds()]


@register()
def assigned_twice(**_: Any) -> list[Warning]:
    """Warn of each setting that both production's module and the settings that it imports by * assign: once, in the
    image's build."""
    if not is_production() or not may_warn():
        return []
    module = sys.modules[settings.SETTINGS_MODULE]
    places: dict[str, dict[bool, str]] = {}  # setting → (is it imported?) → file:line; the last assignment is the last
    for name, line, file in assignments(module, ast.iter_child_nodes):
        is_imported = file != module.__file__
        places.setdefault(name, {}).pop(is_imported, None)
        places[name][is_imported] = f"{os.path.relpath(file)}:{line}"
    return [
        Warning(
            f"{name} is assigned twice, in {' and '.join(both.values())}: the latter holds. Remove the other, "
            "unless it is of use elsewhere",
            id="slipway.W001",
        )
        for name, both in places.items()
        if len(both) == 2
    ]


def assignments(
    module: ModuleType, nodes: Callable[[ast.AST], Iterator[ast.AST]] = ast.walk
) -> Iterator[tuple[str, int, str]]:
    """Yield (setting, line, file) for what a module, and those that it imports by *, assign. An assignment that reads
    its setting only extends the value, and is left out."""
    file = str(module.__file__)
    for node in nodes(ast.parse(Path(file).read_bytes())):
        if base := imported_module(node, module):
            yield from assignments(base)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            names = [each for each in ast.walk(node) if isinstance(each, ast.Name) and each.id.isupper()]
            read = {each.id for each in names if isinstance(each.ctx, ast.Load)}
            yield from ((each.id, each.lineno, file) for each in names if each.id not in read)


def imported_module(node: ast.AST, module: ModuleType) -> ModuleType | None:
    """Return the module that `node`, a statement of `module`, imports by *."""
    if not isinstance(node, ast.ImportFrom) or node.names[0].name != "*":
        return None
    return sys.modules.get(resolve_name("." * node.level + (node.module or ""), module.__package__))


@register()
def imported_as_development(**_: Any) -> list[Error]:
    """Report each place that depends on DEBUG, if DEBUG is on in the settings that production imports by *: production
    turns it off, but only afterwards."""
    if not is_production():
        return []
    module = sys.modules[settings.SETTINGS_MODULE]
    bases = [base for node in ast.walk(parse(module)) if (base := imported_module(node, module))]
    places = [place for base in bases if getattr(base, "DEBUG", False) for place in uses_of_debug(base)]
    return (
        [
            Error(
                f"DEBUG is on while production imports these settings, so that those of development are in effect at "
                f"{', '.join(places)}: set DEBUG, or the variable that it is read from, to False above the import in "
                f"{os.path.relpath(str(module.__file__))}, or there",
                id="slipway.E015",
            )
        ]
        if places
        else []
    )


def uses_of_debug(module: ModuleType) -> Iterator[str]:
    """Yield file:line of what reads DEBUG in a module and in those that it imports by *, and of a computed DEBUG."""
    for node in ast.walk(parse(module)):
        if base := imported_module(node, module):
            yield from uses_of_debug(base)
        names: list[ast.expr] = []
        if isinstance(node, ast.Assign) and not isinstance(node.value, ast.Constant):
            names = node.targets
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            names = [node]
        yield from (
            f"{os.path.relpath(str(module.__file__))}:{name.lineno}"
            for name in names
            if isinstance(name, ast.Name) and name.id == "DEBUG"
        )


def parse(module: ModuleType) -> ast.Module:
    return ast.parse(Path(str(module.__file__)).read_bytes())
