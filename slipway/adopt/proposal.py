"""Plan which files of an adopted project to add or change, and which of its own files are in the way. No I/O."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

from slipway.make import blocks, wheel

from .inspection import Project
from .packages import MADE, Tree, requirement, with_packages

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


def is_ours(path: str, text: str, template: Tree) -> bool:
    """Return True if the template wrote the file `path`, which has this `text`. packages.txt and wheels always count.
    In other files of TEAM, MARK must match. In files of LEVELS, the first 2 lines must be the template's."""
    if path.endswith(TEAM):
        return path.endswith(("packages.txt", ".whl")) or bool(re.search(MARK, text, re.MULTILINE))
    return any(path in paths for paths in LEVELS.values()) and text.splitlines()[:2] == template[path].splitlines()[:2]


def plan(
    tree: Tree,
    existing: Tree,
    project: Project,
    levels: list[str],
    template: Template,
    above: Tree = MappingProxyType({}),
) -> tuple[Texts, Texts, list[str]]:
    """Return new files, changed files (both path → text), and problems. `existing`: the project's own files; `above`:
    lists of packages in folders above it."""
    problems = []
    if not project.settings or ("image" in levels and "." not in project.settings):
        problems.append(
            f"DJANGO_SETTINGS_MODULE in manage.py is {project.settings or 'missing'}: it must be a module; "
            "for levels image and servers, a module in a package, such as mysite.settings"
        )
    merged = merged_files(tree, above, project, levels, template)
    new = {}
    changed = {}
    for path, text in sorted({**adapted_files(existing, project, levels, template), **merged}.items()):
        needed = {*map(str, PurePosixPath(path).parents)}  # as folders; a file there is in the way
        if path not in [*merged, "Dockerfile"]:  # which may exist: lines are added, or the file is replaced
            needed.add(path)
        for place in needed & {*existing}:
            problems.append(f"{place} exists, but Slipway needs this name: rename yours")
        if path not in tree:
            new[path] = text
        elif text != tree[path] and not path.endswith(TEAM):
            changed[path] = text
    return new, changed, problems


def adapted_files(existing: Tree, project: Project, levels: list[str], template: Template) -> Texts:
    """Return the template's files for these `levels`, adapted to the project: path → text."""
    texts = {path: template.files[path] for level in levels for path in LEVELS[level]} | {template.wheel: ""}
    if "image" in levels:
        for name, base in (("settings_docker.py", project.production), ("settings_test.py", project.tests)):
            texts[f"{project.package}/{name}"] = adapted_settings(
                template.files[f"project/{name}"],
                template.files[f"{HERE}/settings.py-tpl"],
                base,
                project.debug if name == "settings_docker.py" else "",
            )
    if "servers" in levels:
        toml = "deploy/production.toml"
        texts[toml] = re.sub('^(app|image) = ".*"$', rf'\1 = "{project.app}"', texts[toml], flags=re.MULTILINE)
        if project.media == "local":  # which several web hosts would not share
            texts[toml] = re.sub(
                "(?m)^media = .*", 'media = "local"', re.sub(r"\[hosts\.web2]\n(.+\n)+\n", "", texts[toml])
            )
        texts[".copier-answers.yml"] = template.files[f"{HERE}/answers.yml-tpl"].format(
            template=template, project=project
        )
    names = {
        "deploy/production.toml": f"{project.servers}/production.toml",
        "compose.yaml": "compose.slipway.yaml" if {*COMPOSE} & {*existing} else "compose.yaml",
    }
    unused = ["accounts"] if project.celery else ["accounts", "jobs"]
    return {names.get(path, path): blocks.without(text, *unused) for path, text in texts.items()}


def adapted_settings(text: str, middle: str, base: str, debug: str) -> str:
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
    docstring, text = text.replace("settings_base.py", base).split("\n\n", 1)
    return f"{docstring}\n# flake8: noqa\n\n{text}"


def merged_files(tree: Tree, above: Tree, project: Project, levels: list[str], template: Template) -> Texts:
    """Return the project's Makefile, lists of packages and other files with the template's lines added: path → text."""
    package = requirement(tree, template.wheel, project.jobs) if "image" in levels else ""
    texts = with_packages(tree, above, project.packages, package)
    if "image" in levels:
        texts[".dockerignore"] = merged_dockerignore(
            tree.get(".dockerignore", ""), template.files[".dockerignore"], project
        )
    return texts | {
        "Makefile": merged_makefile(tree, template.files[f"{HERE}/Makefile-tpl"], project),
        "manage.py": with_restart(tree.get("manage.py", ""), template.files[f"{HERE}/manage.py-tpl"]),
        ".gitignore": with_lines(tree.get(".gitignore", ""), gitignore_lines(project)),
        "vendor/.gitattributes": with_lines(tree.get("vendor/.gitattributes", ""), [wheel.ATTRIBUTES.strip()]),
    }


def gitignore_lines(project: Project) -> list[str]:
    """Return the lines for .gitignore. The pins are made from uv.lock, if there is one."""
    packages = project.packages
    made = packages.source == "uv.lock" and packages.production not in MADE
    return [*IGNORED, *(f"/{path}" for path in (packages.production, packages.development) if made)]


def with_lines(text: str, lines: list[str]) -> str:
    present = {line.strip("/ ") for line in text.splitlines()}
    missing = [line for line in lines if line.strip("/ ") not in present]
    if text and not text.endswith("\n") and missing:
        text += "\n"
    return text + "".join(f"{line}\n" for line in missing)


def merged_makefile(tree: Tree, text: str, project: Project) -> str:
    """Put the template's Makefile before the project's. If that includes django.mk, change only a PROJECT that is no
    package any more."""
    current = tree.get("Makefile", "")
    if re.search(r"^-?include .*\bdjango\.mk", current, re.MULTILINE):
        old = re.search(r"^PROJECT = (\w+)$", current, re.MULTILINE)
        is_gone = old and not any(path.startswith(f"{old[1]}/") for path in tree)
        return current.replace(old[0], f"PROJECT = {project.package}", 1) if old and is_gone else current
    first = re.search(r"^([\w-]+) *:(?!=)", current, re.MULTILINE)
    lines = "".join(f"{line}\n" for line in project.packages.lines())
    ours = text.format(project=project, goal=first[1] if first else "test", packages=lines)
    return f"{ours}\n{current}" if current else ours


def with_restart(current: str, restart: str) -> str:
    """Put the code `restart` before manage.py's first statement."""
    if "VIRTUAL_ENV" in current or "execv" in current:
        return current
    match = re.match(r"""(#.*\n|\s*\n|("{3}|'{3})[\s\S]*?\2.*\n|["'].*\n|from __future__.*\n)*""", current)
    return current[: match.end()] + restart + current[match.end() :] if match else current


def replaced_targets_todo(existing: Tree, levels: list[str], template: Template) -> Iterator[str]:
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


def unchanged_files_todo(tree: Tree, project: Project, changed: Texts) -> Iterator[str]:
    """Yield a to-do for lines that only --apply adds, and that the next commands need."""
    for path in (path for path in changed if path == ".gitignore" or re.search("requirements", path)):
        before = tree[path].splitlines()
        lines = [line for line in changed[path].splitlines() if line not in before]
        yield f"{path}:1: add {'before git add -A: ' if path == '.gitignore' else ''}{' '.join(lines)}"
    if "Makefile" in changed and "django.mk" in tree["Makefile"]:
        yield f"Makefile:1: write PROJECT = {project.package}"


def merged_dockerignore(current: str, template: str, project: Project) -> str:
    """Put the template's lines before the project's (`current`). The project's win, as Docker obeys the last match."""
    if "# What the template needs for the build." in current:
        return current
    ours = template.replace("!project\n", "".join(f"!{path}\n" for path in project.beside), 1)
    if not current:
        return ours
    return ours + re.sub(r"^\*+\s*\n", "", f"\n# Yours.\n{current}", flags=re.MULTILINE)
