"""What adopt.py finds in a Django project. All of it goes by a mapping from paths to texts; nothing here does I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import adopt_requirements
from adopt_requirements import Wanted

Tree = Mapping[str, str]
PRODUCTION = ("production", "prod", "live", "deploy")
SHARED = ("base", "common", "defaults", "shared")
TESTS = ("test", "tests", "testing", "ci")
NOT_PRODUCTION = (*TESTS, "local", "dev", "development")
NOT_OURS = {"docs", "doc", "make", "deploy", "docker", "slipway", "requirements", "node_modules", "ve", "var"}
NO_CODE = {"setup.py", "conftest.py", "fabfile.py", "noxfile.py", "manage.py", "tasks.py"}
NO_NAME = {"config", "conf", "project", "core", "settings", "src", "app", "main", "server", "backend"}


@dataclass(frozen=True)
class Found:
    """The project."""

    app: str  # what it shall be called on a server
    settings: str = ""  # the module that manage.py names
    production: str = ""  # the one that production's settings begin with, and that of the tests
    tests: str = ""
    celery: str = ""  # "config/celery.py:8", where its Celery app is
    wanted: Wanted = field(default_factory=Wanted)  # what production requires
    wanted_dev: Wanted = field(default_factory=Wanted)  # and the tests
    in_image: tuple[str, ...] = ()  # folders and modules beside manage.py

    @property
    def package(self) -> str:
        """The package of the settings; none where they are a module of their own."""
        return self.settings.split(".")[0] if "." in self.settings else ""


def look(tree: Tree, folder: str, top: Tree, up: str) -> Found:
    """What there is in a project whose folder has that name. Of a repository that has it further down, `top` is the
    whole, and `up` the way there: its lists of packages count where the project has none."""
    settings = settings_module(tree)
    package = settings.split(".")[0]
    production, tests = modules(tree, settings) if "." in settings else ("", "")
    tests = pytest_settings(tree) or pytest_settings(top, tree) or tests
    return Found(
        app_name(package if package and package not in NO_NAME else folder), settings, production, tests, celery(tree),
        *(find(tree) if find(tree).source or not up else adopt_requirements.above(find(top), up, inside)
          for find, inside in ((adopt_requirements.production, ""), (adopt_requirements.development, "requirements"))),
        in_image(tree))


def settings_module(tree: Tree) -> str:
    """What manage.py names, else a module that it imports; the first counts that is not for tests."""
    manage = tree.get("manage.py", "")
    imported = re.findall(r"^ *(?:from|import) +([\w.]+)", manage, re.MULTILINE)
    for text in (manage, *(tree.get(file_of(tree, module), "") for module in imported)):
        if named := re.findall(r"""DJANGO_SETTINGS_MODULE["'],? *\]? *=? *["']([\w.]+)["']""", text):
            return next((name for name in named if not {*re.split(r"[._]", name)} & {*TESTS}), named[0])
    return ""


def make_reads(manage: str) -> str:
    """The package that make, which reads manage.py alone, takes the settings to be in (find_project in make/ve.mk)."""
    return " ".join(re.findall(r"""DJANGO_SETTINGS_MODULE["'], *["'](\w+)""", manage))


def modules(tree: Tree, settings: str) -> tuple[str, str]:
    """The settings that production's and the tests' begin with: a module of that kind, else what there is."""
    folder = settings_folder(tree, settings)
    if not folder:
        return settings, settings
    there = [name for name in (*PRODUCTION, *SHARED, *TESTS) if f"{path_of(folder)}/{name}.py" in tree]
    others = [settings] if settings.rpartition(".")[2] not in NOT_PRODUCTION else []
    others += [*(f"{folder}.{name}" for name in there if name in SHARED), folder]
    first = [[f"{folder}.{name}" for name in there if name in kind] for kind in (PRODUCTION, TESTS)]
    return (first[0] + others)[0], (first[1] + others)[0]


def pytest_settings(tree: Tree, project: Tree | None = None) -> str:
    """What pytest is told to take, where the project has that."""
    for path in ("pytest.ini", "pyproject.toml", "setup.cfg", "tox.ini"):
        found = re.search(r"""^DJANGO_SETTINGS_MODULE *= *["']?([\w.]+)""", tree.get(path, ""), re.MULTILINE)
        if found and f"{path_of(found[1])}.py" in (tree if project is None else project):
            return found[1]
    return ""


def settings_folder(tree: Tree, settings: str) -> str:
    """The package that the settings are the modules of; none where they are one module."""
    if f"{path_of(settings)}/__init__.py" in tree:
        return settings
    folder = settings.rpartition(".")[0]
    return folder if folder.rpartition(".")[2] == "settings" else ""


def path_of(module: str) -> str:
    return module.replace(".", "/")


def file_of(tree: Tree, module: str) -> str:
    """The file of a module or package."""
    path = path_of(module)
    return f"{path}.py" if f"{path}.py" in tree else f"{path}/__init__.py"


def app_name(text: str) -> str:
    """A name for user, folders and image on a server."""
    return re.sub(r"^[^a-z]+", "", re.sub(r"[^a-z0-9]+", "-", text.lower()))[:24].strip("-") or "app"


def celery(tree: Tree) -> str:
    """Where the Celery app is made: file and line."""
    for path in tree:
        if re.search(r"(^|/)celery\w*\.py$", path):
            if number := line_of(tree[path], r"^\w+ *(: *\w+ *)?= *(celery\.)?\w*Celery\("):
                return f"{path}:{number}"
    return ""


def line_of(text: str, pattern: str) -> int:
    """The number of the first line like this, or 0."""
    return next((number for number, line in enumerate(text.splitlines(), 1) if re.search(pattern, line)), 0)


def in_image(tree: Tree) -> tuple[str, ...]:
    """Folders with code, templates or static files, and modules; all that lie beside manage.py."""
    folders = {path.split("/")[0] for path in tree if "/" in path and (
        path.endswith(".py") or path.split("/")[0] in ("templates", "static", "locale", "assets", "fixtures"))}
    modules = {path for path in tree if "/" not in path and path.endswith(".py")} - NO_CODE
    return tuple(sorted({name for name in folders if name[0] not in "._"} - NOT_OURS) + sorted(modules))


def settings_files(tree: Tree, found: Found) -> list[str]:
    """Those that production's settings are made of, as far as their names tell."""
    folder = settings_folder(tree, found.settings)
    files = {f"{path_of(folder)}/{name}.py" for name in (*SHARED, "__init__") if folder} | {
        file_of(tree, found.production)}
    return sorted(files & set(tree))


def unset(tree: Tree, found: Found) -> list[tuple[str, str]]:
    """("file:line", variable) of what the settings ask of the environment without a default: a build has none."""
    asked = re.compile(r"""(?:environ\[|\benv(?:\.\w+)?\(|\bconfig\()\s*["'](\w+)["']\s*[\])]""")
    return [(f"{path}:{number}", match[1]) for path in settings_files(tree, found)
            for number, line in enumerate(tree[path].splitlines(), 1) for match in asked.finditer(line)]
