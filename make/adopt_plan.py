"""What adopt.py is going to do, of what it has found. Nothing here does I/O."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from adopt_look import Found, make_reads
from adopt_requirements import follow, name

Tree = Mapping[str, str]
LEVELS = ("make", "image", "servers")
TAKEN = {
    "make": ("django.mk", "make/", "requirements/uv.", "requirements/audit."),
    "image": ("docker.mk", "Dockerfile", "docker-run.sh", "docker/", "slipway/", "compose.yaml"),
    "servers": ("deploy.mk", "update.mk", "deploy/", "requirements/deploy.", "requirements/copier."),
}
REPLACED = {"Dockerfile", ".dockerignore", "docker-run.sh"}  # with the diff shown; what else differs is in the way
COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
BESIDE = "compose.slipway.yaml"  # make up takes it, where a project has one of those, which then stays what it is
# What slipway imports. Without a lower bound an old version may be found that knows of no upper one for Django.
NEEDED = ("dj-database-url>=3", "gunicorn>=23", "prometheus-client>=0.22", "psycopg2-binary", "python-json-logger>=3.3",
          "sentry-sdk>=2", "whitenoise>=6.9")
NEEDED_CELERY = ("celery>=5.5", "redis", "django-celery-beat>=2.8")
NEEDED_DEV = {"make": ("honcho", "watchfiles"), "image": ("django-migration-linter>=5",), "servers": ()}
# Of the packages that bring the same, one is enough.
AS_GOOD = {"psycopg2-binary": {"psycopg2", "psycopg", "psycopg-binary"}}
IGNORED = {"make": ("/ve", "/ve.lock", "/var/", "/.env", "/local.mk", "__pycache__/", "*.sqlite3"),
           "image": ("/static-root/", "/wheelhouse/", "/wheelhouse.[0-9]*/"), "servers": ()}


@dataclass(frozen=True)
class Template:
    """The template: its files less those that are left out, what it is called, where others get it."""

    files: Tree
    version: str
    source: str


@dataclass
class Plan:
    """Path → whole text of what is new, and of what would change; and why nothing can be done."""

    new: dict[str, str] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def up_to(level: str) -> tuple[str, ...]:
    """The levels that this one includes."""
    return LEVELS[:LEVELS.index(level) + 1]


def make_plan(tree: Tree, found: Found, level: str, template: Template) -> Plan:
    """What is new, what would change, what is in the way."""
    plan = Plan(problems=missing(found, level))
    texts = {**taken(tree, found, level, template), **written(tree, found, level, template)}
    for path, text in sorted(texts.items()):
        if path not in tree:
            plan.new[path] = text
        elif tree[path] != text and (path in REPLACED or path in merged(tree, found, level)):
            plan.changed[path] = text
    plan.problems += in_the_way(tree, texts, template)
    return plan


def missing(found: Found, level: str) -> list[str]:
    """What the project lacks for this level."""
    if not found.settings:
        return ["manage.py names no settings, nor does what it imports: it should set DJANGO_SETTINGS_MODULE, as that "
                "of django-admin does"]
    if level != "make" and not found.package:
        return [f"the settings {found.settings} are no module of a package, which the image needs: move them into one "
                "(mysite/settings.py), and name mysite.settings in manage.py; --level make works without"]
    return []


def in_the_way(tree: Tree, texts: Tree, template: Template) -> list[str]:
    """What has a name that the template's own files need, a line for each file or folder at the top."""
    files = {path for path in texts if path in tree and is_own(path) and tree[path] != texts[path]}
    folders = {str(folder) for path in texts for folder in PurePosixPath(path).parents}
    first: dict[str, str] = {}
    for path in sorted(files | {folder for folder in folders if folder in tree}):
        first.setdefault(path.split("/")[0], path)
    return [f"{path} is there, and is not the template's {template.version}: rename it, as the template needs this name"
            for path in first.values()]


def is_own(path: str) -> bool:
    """Whether the template's word on a file is the last: not once it is there where the team may have changed it."""
    team = ("make/Procfile.dev", "docker/packages.txt", "docker/docker-run.d/", "deploy/provision_more.py")
    folders = path.startswith(("make/", "docker/", "slipway/", "deploy/"))
    return path.endswith(".mk") or folders and not path.startswith(team) and not path.endswith(".toml")


# ---- what comes as the template has it ----

def taken(tree: Tree, found: Found, level: str, template: Template) -> dict[str, str]:
    """The template's files of these levels, with the project's names."""
    prefixes = tuple(prefix for each in up_to(level) for prefix in TAKEN[each])
    files = {path: text for path, text in template.files.items() if path.startswith(prefixes)}
    if not found.celery:
        files = {path: without_celery(path, text) for path, text in files.items()}
    if own_compose(tree) and "compose.yaml" in files:
        files[BESIDE] = files.pop("compose.yaml")
    return {path: with_names(text, found.app) if re.fullmatch(r"deploy/\w+\.toml", path) else text
            for path, text in files.items()}


def own_compose(tree: Tree) -> list[str]:
    """The project's files for Docker Compose that are not the template's."""
    return [path for path in COMPOSE if path in tree and "use make up" not in tree[path]]


def without_celery(path: str, text: str) -> str:
    """A file that lists processes, less worker and beat."""
    if path == "make/Procfile.dev":
        return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(("worker:", "beat:")))
    if path == "compose.yaml":
        return re.sub(r"  (worker|beat):\n(    .*\n)+\n", "", text)
    if re.fullmatch(r"deploy/\w+\.toml", path):
        text = re.sub(r"\[hosts\.work1\]\n(.+\n)+\n", "", text)
        return text.replace('["web", "worker", "beat"]', '["web"]')
    return text


def with_names(text: str, app: str) -> str:
    """deploy/*.toml with the project's name."""
    return re.sub(r'^app = ".*"$', f'app = "{app}"', text, flags=re.MULTILINE)


# ---- what is written for this project ----

def written(tree: Tree, found: Found, level: str, template: Template) -> dict[str, str]:
    """The files that no other project has like this."""
    texts = merged(tree, found, level)
    if level != "make" and found.package:
        texts[".dockerignore"] = dockerignore(template.files[".dockerignore"], found.in_image)
        texts[f"{found.package}/settings_docker.py"] = settings_file("production", found.production)
        texts[f"{found.package}/settings_test.py"] = settings_file("testing", found.tests)
    if level == "servers":
        texts[".copier-answers.yml"] = answers(found.app, template)
    return texts


def merged(tree: Tree, found: Found, level: str) -> dict[str, str]:
    """What is the project's as well: what it has stays, what is missing is added."""
    ignored = [line for each in up_to(level) for line in IGNORED[each]]
    return {"Makefile": makefile(tree, found), ".gitignore": added(tree.get(".gitignore", ""), ignored),
            "requirements.in": required(tree, found, level),
            "requirements/dev.in": required_dev(tree, found, level)}


def added(text: str, lines: list[str]) -> str:
    """The text, with those of the lines that it lacks."""
    there = {line.strip("/ ") for line in text.splitlines()}
    more = [line for line in lines if line.strip("/ ") not in there]
    return text + ("\n" if text and not text.endswith("\n") and more else "") + "".join(f"{line}\n" for line in more)


def makefile(tree: Tree, found: Found) -> str:
    """The project's variables and the template's rules, before what a Makefile has already."""
    there = tree.get("Makefile")
    if there and re.search(r"^-?include .*\bdjango\.mk\b", there, re.MULTILINE):
        return there
    app = found.celery.rpartition(":")[0].removesuffix(".py").replace("/", ".")
    lines = ["# The project's own settings. Its rules are in the included files; yours go here or, kept out of git, in",
             "# local.mk.", "", f"APP   ?= {found.app}",
             "# With a registry: registry.example/$(APP)", "IMAGE ?= $(APP)", "PORT  ?= 8000"]
    if found.package and make_reads(tree["manage.py"]) != found.package:
        lines.append(f"PROJECT = {found.package}")
    if app and app != f"{found.package}.celery":
        lines.append(f"CELERY_APP ?= {app}")
    first = re.search(r"^([\w-]+) *:(?!=)", there or "", re.MULTILINE)
    lines += ["", f".DEFAULT_GOAL := {first[1] if first else 'all'}", "",
              "include django.mk", "-include docker.mk deploy.mk update.mk local.mk"]
    return "\n".join(lines) + "\n" + (f"\n{there}" if there else "")


def required(tree: Tree, found: Found, level: str) -> str:
    """requirements.in: what the project requires, and from the image on what slipway does."""
    text = tree.get("requirements.in") or head("What production runs.", found.wanted.source) + "".join(
        f"{line}\n" for line in found.wanted.lines or ("django",))
    wanted = [] if level == "make" else [*NEEDED, *(NEEDED_CELERY if found.celery else ())]
    return added(text, lacking(wanted, follow(tree, found.wanted)))


def required_dev(tree: Tree, found: Found, level: str) -> str:
    """requirements/dev.in: what the tests require, and what make does."""
    text = tree.get("requirements/dev.in") or head("Tests and linters.", found.wanted_dev.source) + "".join(
        f"{line}\n" for line in found.wanted_dev.lines)
    return added(text, lacking([line for each in up_to(level) for line in NEEDED_DEV[each]],
                               follow(tree, found.wanted_dev)))


def head(what: str, source: str) -> str:
    return f"# {what} `make requirements` compiles it" + (f"; at first as {source} had it.\n" if source else ".\n")


def lacking(wanted: list[str], there: set[str]) -> list[str]:
    """Those of the packages that are not there, nor what is as good."""
    return [line for line in wanted if not {name(line), *AS_GOOD.get(name(line), set())} & there]


def dockerignore(template: str, in_image: tuple[str, ...]) -> str:
    """The template's, with the project's own folders."""
    return template.replace("!project\n", "".join(f"!{path}\n" for path in in_image), 1)


def settings_file(kind: str, base: str) -> str:
    """A settings module that loads the project's own, then the template's."""
    return (f'"""{"Production" if kind == "production" else "Tests, while the image is built"}: {base}, then the '
            f'template\'s.\n\nWhat only this has of yours goes below.\n"""\n\nfrom slipway.settings import over\n\n'
            f'globals().update(over("{kind}", "{base}"))\n')


def answers(app: str, template: Template) -> str:
    """What make template-update goes by."""
    return ("# Which version of the template this project has, and what was answered. make template-update has it.\n"
            f"_commit: {template.version}\n_src_path: {json.dumps(template.source)}\napp: {app}\n"
            f"site_name: {json.dumps(app.replace('-', ' ').title())}\n")
