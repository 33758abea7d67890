"""Inspect the files of a Django project, given as a Tree (path → text). No I/O."""

import ast
import contextlib
import re
from dataclasses import dataclass
from posixpath import dirname
from types import MappingProxyType

from .packages import Packages, Tree, find_packages

KINDS = {
    "production": ("production", "prod"),
    "tests": ("test", "tests", "testing", "ci"),  # usual names
    "shared": ("base", "common"),
}
CELERY = r"\w*Celery\(|from slipway\.celery import app"
ANY_TEXT = r"DEBUG = (bool\()?os\.(environ\[|environ\.get\(|getenv\()'\w+'[^()]*[\])]+"  # any text turns this on
NO_CODE = {"doc", "docs", "deploy", "docker", "requirements", "setup.py", "conftest.py", "noxfile.py", "manage.py"}


@dataclass(frozen=True)
class Project:
    """The parts of an existing project: its settings, files and lists of packages."""

    app: str  # the app's name on a server
    settings: str  # the module that manage.py names
    package: str  # the top package or module of `settings`
    production: str  # the settings module that settings_docker.py extends
    tests: str
    debug: str  # NAME=VALUE of the variable that turns the settings' DEBUG off; "" if they read none
    media: str  # where the settings put uploads: local or bucket; "" if they do not say it
    celery: str  # the file with the project's Celery app; "" if there is none
    jobs: bool
    servers: str  # the folder for production.toml
    python: int  # N of the oldest Python 3.N that the project supports, but at least 11
    settings_files: list[str]  # the files of the `production` and shared settings
    beside: list[str]  # files and folders beside manage.py that the image needs
    outside: list[str]  # the others
    packages: Packages


def inspect_project(tree: Tree, folder: str, above: Tree = MappingProxyType({})) -> Project:
    """Inspect the `tree`. `above`: files in folders above it (../… → text), which may list packages."""
    app = re.sub(r"^[^a-z]+|-$", "", re.sub(r"[^a-z0-9]+", "-", folder.lower())[:24]) or "app"
    settings = settings_module(tree)
    shared, production, tests = (settings_for(tree, settings, kind) for kind in ("shared", "production", "tests"))
    files = sorted({file_of(tree, shared), file_of(tree, production)} & {*tree})
    apps = (path for path in tree if re.search(r"(^|/)celery\w*\.py$", path) and re.search(CELERY, tree[path]))
    celery = next(apps, "")
    servers = "servers" if {"deploy", "deploy/production.toml"} & {*tree} else "deploy"
    return Project(
        app,
        settings,
        settings.split(".")[0],
        production,
        tests,
        debug_switch(tree, files),
        upload_storage(tree, production, shared),
        celery,
        bool(celery),
        servers,
        newest_python(tree),
        files,
        needed_paths(tree, files),
        other_paths(tree, needed_paths(tree, files)),
        find_packages(tree, above),
    )


def settings_module(tree: Tree) -> str:
    """Return the settings module that manage.py names; skip settings for tests. Return "" if none is left."""
    return next((name for name in named_by_manage(tree) if not for_tests(name)), "")


def named_by_manage(tree: Tree) -> list[str]:
    """Return the settings modules that manage.py and its imports name."""
    modules = re.findall(r"^ *(?:from|import) +([\w.]+)", tree.get("manage.py", ""), re.MULTILINE)
    text = "\n".join(tree.get(path, "") for path in ("manage.py", *(file_of(tree, module) for module in modules)))
    named: list[str] = re.findall(r"""DJANGO_SETTINGS_MODULE["'],? *\]? *=? *["']([\w.]+)["']""", text)
    return named


def for_tests(module: str) -> bool:
    return bool(re.search(r"(^|[._])(tests?|testing|ci)\b", module))


def settings_for(tree: Tree, settings: str, kind: str) -> str:
    """Return the settings module for `kind` (production, tests or shared). Search a package called settings for the
    names in KINDS. For tests, first look where pytest and manage.py name theirs; else manage.py's are the tests', too.
    For production, then look what servers name, and what is without DEBUG. If there is none, return `settings`."""
    folder = "".join(re.findall(r"^.*\bsettings\b", settings))
    usual = [f"{folder}.{name}" for name in KINDS[kind]]
    if kind == "tests":
        text = "\n".join(tree.get(path, "") for path in ("pytest.ini", "pyproject.toml", "setup.cfg"))
        named = re.findall(r"""^DJANGO_SETTINGS_MODULE *= *["']?([\w.]+)""", text, re.MULTILINE)
        usual = [*named, *filter(for_tests, named_by_manage(tree)), *usual, settings]
    if kind == "production":
        usual += [
            name
            for name in [*named_by_servers(tree), *without_debug(tree, settings)]
            if name != settings and not for_tests(name)
        ]
    usual += [f"{folder}.{name}" for name in KINDS["shared"]]
    return next((name for name in usual if file_of(tree, name) in tree), settings)


def named_by_servers(tree: Tree) -> list[str]:
    text = "\n".join(
        tree[path] for path in sorted(tree) if re.search(r"(^|/)([aw]sgi\.py|Procfile|Dockerfile[\w.]*)$", path)
    )
    return re.findall(r"^(?!RUN ).*DJANGO_SETTINGS_MODULE\W+([\w.]+)", text, re.MULTILINE)


def without_debug(tree: Tree, settings: str) -> list[str]:
    """Return the modules beside `settings` that turn DEBUG off, for settings that they import; first those with
    ALLOWED_HOSTS, as others may be for a build only."""
    folder = dirname(file_of(tree, settings))
    paths = [
        path
        for path in tree
        if path.endswith(".py")
        and dirname(path) == folder
        and re.search("^from .* import [*]", tree[path], re.M)
        and re.search(r"^DEBUG\b.*= *False\b", tree[path], re.M)
    ]
    return [path[:-3].replace("/", ".") for path in sorted(paths, key=lambda path: "ALLOWED_HOSTS" not in tree[path])]


def debug_switch(tree: Tree, settings_files: list[str]) -> str:
    """Return NAME=VALUE for DEBUG = env.bool("NAME", …) and the like: "0", the text that DEBUG is compared with, or no
    text, if any other turns DEBUG on."""
    for path in settings_files:
        with contextlib.suppress(SyntaxError):  # the file may need another version of Python
            lines = (ast.unparse(node) for node in ast.parse(tree[path]).body if isinstance(node, ast.Assign))
            for line in lines:
                name = re.match(r"DEBUG = (?!not ).*?(?:\w*env\w*|config)(?:\.\w+)*[\[(]'(\w*DEBUG\w*)'", line, re.I)
                if name:
                    words = re.findall("(?i)(?<=')false(?=')|(?<=!= ')\\w+(?='$)", line)
                    return f"{name[1]}=" if re.fullmatch(ANY_TEXT, line) else f"{name[1]}={[*words, '0'][0]}"
    return ""


def upload_storage(tree: Tree, *modules: str) -> str:
    """Return where the first of these settings modules that names a storage puts uploads: local or bucket."""
    named = r"""STORAGES\b.*?["']default["']: *\{\s*["']BACKEND["']: *["'][\w.]+|DEFAULT_FILE_STORAGE *= *["'][\w.]+"""
    for match in (re.search(named, tree.get(file_of(tree, module), ""), re.DOTALL) for module in modules):
        if match:
            return "local" if "FileSystemStorage" in match[0] else "bucket"
    return ""


def file_of(tree: Tree, module: str) -> str:
    path = module.replace(".", "/")
    return f"{path}.py" if f"{path}.py" in tree else f"{path}/__init__.py"


def needed_paths(tree: Tree, settings_files: list[str]) -> list[str]:
    """Return what the image needs beside manage.py: code, templates, static, locale and paths that settings name."""
    code = "\n".join(tree[path] for path in settings_files)
    named = {"templates", "static", "locale", *re.findall(r"""["']([\w.-]+)""", code)}
    tops = {path.split("/")[0] for path in tree if path.endswith(".py") or path.split("/")[0] in named}
    return sorted(name for name in tops - NO_CODE if name[0] not in "._")


def other_paths(tree: Tree, inside: list[str]) -> list[str]:
    """Return what else is beside manage.py, except texts, files of tools, and what .dockerignore names."""
    others = r"(?i)[._].*|.*\.(md|rst|lock|in|toml|json|ya?ml)|(readme|licen[cs]e|makefile|dockerfile|procfile|req).*"
    tops = {path.split("/")[0] for path in tree} - NO_CODE - {*inside}
    named = tree.get(".dockerignore", "").split()
    return sorted(name for name in tops if not re.fullmatch(others, name) and f"!{name}" not in named)


def newest_python(tree: Tree) -> int:
    text = "\n".join(tree.get(path, "") for path in (".python-version", "pyproject.toml", "setup.cfg"))
    asked = r"^(?:(?:requires-)?python(?:_requires)? *=.*?(?:[>~=]=|\^) *)?3\.(\d+)"
    return max([11, *map(int, re.findall(asked, text, re.MULTILINE))])
