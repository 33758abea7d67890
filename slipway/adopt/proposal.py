"""Plan which files of an adopted project to add or change, and which of its own files are in the way. No I/O."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from slipway.make import blocks, wheel

from .look import Found
from .packages import Tree

Texts = dict[str, str]  # path → text
LEVELS = {  # level → the template's files that it brings
    "make": ["django.mk", "ve.mk"],
    "image": ["docker.mk", "Dockerfile", "docker-run.sh", "docker/packages.txt", "compose.yaml"],
    "servers": ["deploy.mk", "deploy/production.toml"],
}
# adopt never changes an existing file with such an ending. If MARK matches its text, the template wrote the file.
TEAM = (
    "packages.txt",
    "production.toml",
    "compose.slipway.yaml",
    "compose.yaml",
    ".copier-answers.yml",
    ".whl",
    "settings_docker.py",
    "settings_test.py",
)
HERE = "slipway/adopt"  # this folder, in the template
MARK = r"slipway|template-update|use make up|^\[hosts\."
COMPOSE = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"]
COMPILED = "# `make requirements` compiles this file."
IGNORED = [
    "/ve",
    "/ve.lock",
    "/var/",
    "/.env",
    "/local.mk",
    "__pycache__/",
    "*.sqlite3",
    "/static-root/",
    "/wheelhouse/",
    "/wheelhouse.[0-9]*/",
]


class Template(NamedTuple):
    """The template: its files, and where it comes from."""

    files: Tree
    wheel: str  # the path of slipway's wheel in a project
    commit: str  # the template's version, as git describe prints it
    source: str  # the template's address, as other machines can reach it


def is_ours(path: str, there: str, template: Tree) -> bool:
    """Return True if the template wrote file `path` with text `there`. packages.txt and wheels always count. In other
    files of TEAM, MARK must match. In files of LEVELS, the first 2 lines must be the template's."""
    if path.endswith(TEAM):
        return path.endswith(("packages.txt", ".whl")) or bool(re.search(MARK, there, re.MULTILINE))
    return any(path in paths for paths in LEVELS.values()) and there.splitlines()[:2] == template[path].splitlines()[:2]


def plan(
    tree: Tree, existing: Tree, found: Found, levels: list[str], template: Template
) -> tuple[Texts, Texts, list[str]]:
    """Return new files, changed files (both path → text), and problems. `existing`: the project's own files."""
    problems = []
    if not found.settings or ("image" in levels and "." not in found.settings):
        problems.append(
            f"DJANGO_SETTINGS_MODULE in manage.py is {found.settings or 'missing'}: it must be a module; "
            "for levels image and servers, a module in a package, such as mysite.settings"
        )
    merged, new, changed = merge(tree, found, levels, template), {}, {}
    for path, text in sorted({**taken(existing, found, levels, template), **merged}.items()):
        own = path if path not in [*merged, "Dockerfile"] else ""
        for place in {own, *map(str, PurePosixPath(path).parents)} & {*existing}:
            problems.append(f"{place} exists, but Slipway needs this name: rename yours")
        if path not in tree:
            new[path] = text
        elif text != tree[path] and not path.endswith(TEAM):
            changed[path] = text
    return new, changed, problems


def taken(existing: Tree, found: Found, levels: list[str], template: Template) -> Texts:
    """Return the template's files for these `levels`, adapted to the project: path → text."""
    texts = {path: template.files[path] for level in levels for path in LEVELS[level]} | {template.wheel: ""}
    if "image" in levels:
        for name, base in (("settings_docker.py", found.production), ("settings_test.py", found.tests)):
            texts[f"{found.package}/{name}"] = settings(
                template.files[f"project/{name}"],
                template.files[f"{HERE}/settings.py-tpl"],
                base,
                found.debug if name == "settings_docker.py" else "",
            )
    if "servers" in levels:
        toml = "deploy/production.toml"
        texts[toml] = re.sub('^app = ".*"$', f'app = "{found.app}"', texts[toml], flags=re.MULTILINE)
        if found.media == "local":  # which several web hosts would not share
            texts[toml] = re.sub(
                "(?m)^media = .*", 'media = "local"', re.sub(r"\[hosts\.web2]\n(.+\n)+\n", "", texts[toml])
            )
        texts[".copier-answers.yml"] = template.files[f"{HERE}/answers.yml-tpl"].format(template=template, found=found)
    names = {
        "deploy/production.toml": f"{found.servers}/production.toml",
        "compose.yaml": "compose.slipway.yaml" if {*COMPOSE} & {*existing} else "compose.yaml",
    }
    unused = ["accounts"] if found.celery else ["accounts", "jobs"]
    return {names.get(path, path): blocks.without(text, *unused) for path, text in texts.items()}


def settings(text: str, middle: str, base: str, debug: str) -> str:
    """Make the settings `text` import the module `base` instead of settings_base, by the code `middle`. `debug`:
    NAME=VALUE of the variable that must be set before."""
    static = re.search(r'^STORAGES\["staticfiles"\] = .*"([\w.]+)"', text, re.MULTILINE)
    text = re.sub(
        r"^(CONTENT_SECURITY_POLICY|PASSWORD_HASHERS|INSTALLED_APPS|STORAGES\S+) .*\n", "", text, flags=re.MULTILINE
    )
    middle = middle.replace("STATIC", static[1] if static else "django.contrib.staticfiles.storage.StaticFilesStorage")
    if debug:
        name, value = debug.split("=")
        middle = middle.replace(
            "from BASE", f'os.environ["{name}"] = "{value}"  # your settings read DEBUG from it\nfrom BASE', 1
        )
    text = text.replace("from .settings_base import *\n", middle.replace("BASE", base), 1)
    said, text = text.replace("settings_base.py", base).split("\n\n", 1)
    return f"{said}\n# flake8: noqa\n\n{text}"


def merge(tree: Tree, found: Found, levels: list[str], template: Template) -> Texts:
    """Return the project's Makefile, requirements and other files with the template's lines added: path → text."""
    texts = {
        path: tree.get(path)
        or "\n".join(
            [
                f"{COMPILED} adopt wrote its first lines from {source}." if source else COMPILED,
                *lines,
                "",
            ]
        )
        for path, (source, lines) in found.lists.items()
    }
    lock, pins = found.pins
    versions = [f"# adopt wrote these versions from {lock}. `make requirements` keeps those that it needs.", *pins, ""]
    if pins:
        texts |= {
            path: "\n".join(versions) for path in ("requirements.txt", "requirements/dev.txt") if path not in tree
        }
    if "image" in levels:
        package, wanted = f"./{template.wheel}", texts["requirements.in"]
        wanted = wanted if wheel.LINE.search(wanted) else added(wanted, [package])
        texts["requirements.in"] = wheel.named(wanted, package, *(["jobs"] if found.jobs else []))
        texts["requirements/dev.in"] = added(texts["requirements/dev.in"], ["django-migration-linter"])
        texts[".dockerignore"] = dockerignore(tree.get(".dockerignore", ""), template.files[".dockerignore"], found)
    return texts | {
        "Makefile": makefile(tree, template.files[f"{HERE}/Makefile-tpl"], found),
        "manage.py": manage(tree.get("manage.py", ""), template.files[f"{HERE}/manage.py-tpl"]),
        ".gitignore": added(tree.get(".gitignore", ""), IGNORED),
        "vendor/.gitattributes": added(tree.get("vendor/.gitattributes", ""), [wheel.ATTRIBUTES.strip()]),
    }


def added(text: str, lines: list[str]) -> str:
    there = {line.strip("/ ") for line in text.splitlines()}
    more = [line for line in lines if line.strip("/ ") not in there]
    if text and not text.endswith("\n") and more:
        text += "\n"
    return text + "".join(f"{line}\n" for line in more)


def makefile(tree: Tree, text: str, found: Found) -> str:
    """Put the template's Makefile before the project's. If that includes django.mk, change only a PROJECT that is no
    package any more."""
    there = tree.get("Makefile", "")
    if re.search(r"^-?include .*\bdjango\.mk", there, re.MULTILINE):
        old = re.search(r"^PROJECT = (\w+)$", there, re.MULTILINE)
        is_gone = old and not any(path.startswith(f"{old[1]}/") for path in tree)
        return there.replace(old[0], f"PROJECT = {found.package}", 1) if old and is_gone else there
    first = re.search(r"^([\w-]+) *:(?!=)", there, re.MULTILINE)
    ours = text.format(found=found, goal=first[1] if first else "test")
    return f"{ours}\n{there}" if there else ours


def manage(there: str, restart: str) -> str:
    """Put the code `restart` before manage.py's first statement."""
    if "VIRTUAL_ENV" in there or "execv" in there:
        return there
    match = re.match(r"""(#.*\n|\s*\n|("{3}|'{3})[\s\S]*?\2.*\n|["'].*\n|from __future__.*\n)*""", there)
    return there[: match.end()] + restart + there[match.end() :] if match else there


def replaced(existing: Tree, levels: list[str], template: Template) -> Iterator[str]:
    """Yield a to-do if targets of the project's Makefile replace the template's."""
    rule = re.compile(r"^([a-z][\w-]*(?: +[a-z][\w-]*)*) *:(?!=)", re.MULTILINE)
    makefiles = [template.files[path] for level in levels for path in LEVELS[level] if path.endswith(".mk")]
    ours = {name for text in makefiles for names in rule.findall(text) for name in names.split()}
    own = [name for names in rule.findall(existing.get("Makefile", "")) for name in names.split() if name in ours]
    if own:
        yield (
            f"Makefile:1: make {', make '.join(dict.fromkeys(own))} run your targets instead of Slipway's: rename "
            f"them, for example to own-{own[0]}, or move the lines with include below them"
        )


def unchanged(tree: Tree, found: Found, changed: Texts) -> Iterator[str]:
    """Yield a to-do for lines that only --apply adds, and that the next commands need."""
    if ".gitignore" in changed:
        lines = added(tree.get(".gitignore", ""), IGNORED).removeprefix(tree.get(".gitignore", "")).split()
        yield f".gitignore:1: add before git add -A: {' '.join(lines)}"
    if "Makefile" in changed and "django.mk" in tree["Makefile"]:
        yield f"Makefile:1: write PROJECT = {found.package}"


def dockerignore(there: str, template: str, found: Found) -> str:
    """Put the template's lines before the project's (`there`). The project's win, as Docker obeys the last match."""
    if "# What the template needs for the build." in there:
        return there
    ours = template.replace("!project\n", "".join(f"!{path}\n" for path in found.beside), 1)
    if not there:
        return ours
    return ours + re.sub(r"^\*+\s*\n", "", f"\n# Yours.\n{there}", flags=re.MULTILINE)
