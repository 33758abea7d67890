"""Inspect the files of a Django project, given as a Tree (path → text). No I/O."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from posixpath import dirname, relpath
from types import MappingProxyType

Tree = Mapping[str, str]
KINDS = {"production": ("production", "prod"), "tests": ("test", "tests", "testing", "ci"),  # usual names
         "shared": ("base", "common")}
CELERY = r"\w*Celery\(|from slipway\.celery import app"
NO_CODE = {"doc", "docs", "deploy", "docker", "requirements", "setup.py", "conftest.py", "noxfile.py", "manage.py"}
LISTS = {  # .in file → files that a project may have instead
    "requirements.in": ("requirements.txt", *(f"requirements/{name}.txt" for name in ("production", "prod", "base"))),
    "requirements/dev.in": (*(f"requirements/{name}.txt" for name in ("dev", "test", "local", "development")),
                            "requirements-dev.txt", "requirements-test.txt")}


@dataclass(frozen=True)
class Found:
    app: str  # the app's name on a server
    settings: str  # the module that manage.py names
    package: str  # the top package or module of `settings`
    production: str  # the settings module that settings_docker.py extends
    tests: str
    celery: str  # the file with the project's Celery app; "" if there is none
    jobs: bool
    servers: str  # the folder for production.toml
    python: int  # N of the oldest Python 3.N that the project supports, but at least 11
    settings_files: list[str]  # the files of the `production` and shared settings
    beside: list[str]  # files and folders beside manage.py that the image needs
    lists: dict[str, tuple[str, list[str]]]  # .in file → (the project's file that lists packages, lines to write)


def look(tree: Tree, folder: str, above: Tree = MappingProxyType({})) -> Found:
    """Inspect the `tree`. `above`: files in folders above it (../… → text), which may list packages."""
    app = re.sub(r"^[^a-z]+|-$", "", re.sub(r"[^a-z0-9]+", "-", folder.lower())[:24]) or "app"
    settings = settings_module(tree)
    shared, production, tests = (base(tree, settings, kind) for kind in ("shared", "production", "tests"))
    files = sorted({file_of(tree, shared), file_of(tree, production)} & {*tree})
    apps = (path for path in tree if re.search(r"(^|/)celery\w*\.py$", path) and re.search(CELERY, tree[path]))
    celery = next(apps, "")
    servers = "servers" if {"deploy", "deploy/production.toml"} & {*tree} else "deploy"
    return Found(app, settings, settings.split(".")[0], production, tests, celery, bool(celery), servers,
                 python(tree), files, beside(tree, files), {path: wanted(tree, above, path) for path in LISTS})


def settings_module(tree: Tree) -> str:
    """Find the settings module in manage.py and its imports. Skip settings for tests. Return "" if none is left."""
    modules = re.findall(r"^ *(?:from|import) +([\w.]+)", tree.get("manage.py", ""), re.MULTILINE)
    text = "\n".join(tree.get(path, "") for path in ("manage.py", *(file_of(tree, module) for module in modules)))
    named: list[str] = re.findall(r"""DJANGO_SETTINGS_MODULE["'],? *\]? *=? *["']([\w.]+)["']""", text)
    return next((name for name in named if not re.search(r"(^|[._])tests?\b", name)), "")


def base(tree: Tree, settings: str, kind: str) -> str:
    """Return the settings module for `kind` (production, tests or shared). For tests, first look in pytest's
    configuration. Then search a package called settings for the names in KINDS. If none exists, return `settings`."""
    text = "\n".join(tree.get(path, "") for path in ("pytest.ini", "pyproject.toml", "setup.cfg") if kind == "tests")
    named = re.findall(r"""^DJANGO_SETTINGS_MODULE *= *["']?([\w.]+)""", text, re.MULTILINE)
    folder = "".join(re.findall(r"^.*\bsettings\b", settings))
    named += [f"{folder}.{name}" for name in (*KINDS[kind], *KINDS["shared"])]
    return next((name for name in named if file_of(tree, name) in tree), settings)


def file_of(tree: Tree, module: str) -> str:
    path = module.replace(".", "/")
    return f"{path}.py" if f"{path}.py" in tree else f"{path}/__init__.py"


def beside(tree: Tree, settings_files: list[str]) -> list[str]:
    """Return what the image needs beside manage.py: code, templates, static, locale and paths that settings name."""
    said = "\n".join(tree[path] for path in settings_files)
    named = {"templates", "static", "locale", *re.findall(r"""["']([\w.-]+)""", said)}
    tops = {path.split("/")[0] for path in tree if path.endswith(".py") or path.split("/")[0] in named}
    return sorted(name for name in tops - NO_CODE if name[0] not in "._")


def python(tree: Tree) -> int:
    text = "\n".join(tree.get(path, "") for path in (".python-version", "pyproject.toml", "setup.cfg"))
    asked = r"^(?:(?:requires-)?python(?:_requires)? *=.*?(?:[>~=]=|\^) *)?3\.(\d+)"
    return max([11, *map(int, re.findall(asked, text, re.MULTILINE))])


def wanted(tree: Tree, above: Tree, target: str) -> tuple[str, list[str]]:
    """Return the project's file with packages ("" if none), and lines for `target`: packages or `-r FILE`."""
    names = (target, *LISTS[target])
    source = next((path for path in (*names, *above) if path in {**tree, **above} and path.lstrip("./") in names), "")
    if source in ("requirements.txt", "requirements/dev.txt"):
        said = (line for line in tree[source].splitlines() if re.match(r"[^\s#]", line))
        return source, [re.sub(r"\s+(--hash|[#\\]).*", "", line) for line in said]
    if source:
        return source, [f"-r {relpath(source, dirname(target) or '.')}"]
    if target == "requirements/dev.in":
        return "", []
    try:
        return "pyproject.toml", [*tomllib.loads(tree["pyproject.toml"])["project"]["dependencies"]]
    except (tomllib.TOMLDecodeError, LookupError):
        return "", ["django"]
