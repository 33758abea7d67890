"""What adopt.py leaves to do by hand, an item a line: where, and what. Nothing here does I/O."""

import re
from collections.abc import Iterator, Mapping

from adopt_look import Found, file_of, line_of, path_of, settings_files, unset
from adopt_plan import BESIDE, Plan, Template, own_compose, up_to

Tree = Mapping[str, str]
PYTEST = {"pytest.ini": r"^\[pytest\]", "tox.ini": r"^\[pytest\]", "setup.cfg": r"^\[tool:pytest\]",
          "pyproject.toml": r"^\[tool\.pytest"}
STYLE = {".flake8": r"^\[flake8\]", "setup.cfg": r"^\[flake8\]", "tox.ini": r"^\[flake8\]", "ruff.toml": "",
         "pyproject.toml": r"^\[tool\.(ruff|black)\]"}
OLD_DJANGO = (r"(?i)^[\s\"']*django\b(?!-)[^#;]*((==|~=|<=) *([1-4]\b|5\.0\b)|<= *5(?![.\d])|"
              r"< *([1-4]\b|5(\.[01](\.0)?)?(?![.\d])))")
CELERY = ("say `from slipway.celery import app` instead, which reads CELERY_… settings and finds tasks; or keep it: "
          'where it has no namespace="CELERY", set app.conf.worker_consumer = "slipway.jobs.worker:Consumer" '
          "below, as a deploy waits for what that says")


def todo(tree: Tree, found: Found, level: str, plan: Plan, template: Template) -> list[str]:
    """The whole list."""
    levels = up_to(level)
    items = [*requirements(tree, found), *own_targets(tree, levels, template), *tests(tree)]
    if "image" in levels:
        items += [*settings(tree, found), *image(tree), *style(tree), *too_old(tree, found)]
    if "servers" in levels:
        items += ["deploy/production.toml, deploy/staging.toml: name your hosts and sites",
                  ".copier-answers.yml: it should be in git; make template-update goes by it"]
    return [*items, *last(plan)]


def requirements(tree: Tree, found: Found) -> Iterator[str]:
    """What becomes of the lists that are there."""
    for wanted, path, pins in ((found.wanted, "requirements.in", "requirements.txt"),
                               (found.wanted_dev, "requirements/dev.in", "requirements/dev.txt")):
        if path == "requirements.in" and not wanted.source:
            yield f"{path}: it names django alone, as no list of packages was found: add what the project imports"
        elif wanted.source.rpartition("/")[2] in ("pyproject.toml", "Pipfile", "setup.cfg"):
            yield f"{path}: {wanted.source} has the same list: keep one of them, or both alike"
        if wanted.extras:
            yield f"{path}: {wanted.source} has extras, too: add what production uses of {', '.join(wanted.extras)}"
        if pins in tree and path not in tree:
            yield f"{pins}: make requirements writes pins with hashes over its lines, which {path} has now"


def too_old(tree: Tree, found: Found) -> Iterator[str]:
    """A Django that slipway does not work with."""
    for path in (found.wanted.source, *(path for path in tree if re.fullmatch(r"requirements/\w+\.txt", path))):
        if number := line_of(tree.get(path, ""), OLD_DJANGO):
            yield f"{path}:{number}: slipway needs Django 5.1 or newer; it is tested with 5.2"
            return


def own_targets(tree: Tree, levels: tuple[str, ...], template: Template) -> Iterator[str]:
    """Targets of the Makefile that the .mk files have, too."""
    files = ["django.mk", "make/pins.mk", *(["docker.mk"] if "image" in levels else []),
             *(["deploy.mk", "update.mk"] if "servers" in levels else [])]
    theirs = {name: path for path in files for name in re.findall(r"^([a-z][\w-]*):.* ## ", template.files[path], re.M)}
    for number, line in enumerate(tree.get("Makefile", "").splitlines(), 1):
        found = re.match(r"([a-z][\w-]*) *:(?!=)", line)
        if found and found[1] in theirs:
            yield f"Makefile:{number}: {found[1]} is a target of {theirs[found[1]]}, too; yours counts: rename it?"


def tests(tree: Tree) -> Iterator[str]:
    """How the project runs its tests, where that is not manage.py test."""
    for path, pattern in PYTEST.items():
        if number := line_of(tree.get(path, ""), pattern) or (path == "pytest.ini" and path in tree):
            files = " and ".join(f"!{name}" for name in (path, "conftest.py") if name in tree)
            yield (f"{path}:{int(number)}: make test and the build of the image run manage.py test: write TESTS = -m "
                   f"pytest into the Makefile, and {files} into .dockerignore, where that does not run all of them")
            return


def settings(tree: Tree, found: Found) -> Iterator[str]:
    """What production's settings need that is the project's to write."""
    manage = tree["manage.py"]
    if number := line_of(manage, r"environ\[.DJANGO_SETTINGS_MODULE.\] *="):
        yield f"manage.py:{number}: write os.environ.setdefault(…): the image names its settings in the environment"
    for place, variable in unset(tree, found):
        yield (f"{place}: {variable} has no default, and the build of the image has no such variable: give it one; "
               "production's own value comes from the environment")
    for path in (file_of(tree, found.production), file_of(tree, found.settings)):
        if number := line_of(tree.get(path, ""), r"django\.contrib\.gis"):
            yield (f"{path}:{number}: set DATABASE_URL=postgis://…, and name GDAL's and GEOS's libraries in "
                   "docker/packages.txt; the image's tests run on SQLite")
            break
    if found.celery:
        yield f"{found.celery}: {CELERY}"
        if found.celery.rpartition(":")[0] != f"{found.package}/celery.py":
            yield f"{path_of(found.package)}/celery.py: the image runs celery -A {found.package}: import the app there"
        yield from queues(tree, found)


def queues(tree: Tree, found: Found) -> Iterator[str]:
    """Tasks that are sent to queues of which the image's worker knows nothing."""
    texts = {path: tree[path] for path in settings_files(tree, found)}
    if any(re.search(r"^CELERY_(TASK_)?QUEUES\b", text, re.MULTILINE) for text in texts.values()):
        return
    for path, text in texts.items():
        if number := line_of(text, r"^CELERY_(TASK_)?ROUTES\b"):
            yield (f"{path}:{number}: the image's worker takes tasks from the queue celery alone, unless "
                   "CELERY_TASK_QUEUES lists others, as kombu.Queue(name), in settings_docker.py")


def image(tree: Tree) -> Iterator[str]:
    """What the project's own Dockerfile and its like do, and the template's does not."""
    for number, line in instructions(tree.get("Dockerfile", "")):
        if said := re.findall(r"\bapt(?:-get)? [^;&|]*?\binstall\b([^;&|]*)", line):
            packages = " ".join(word for word in " ".join(said).split() if word[0] not in "-><")
            yield f"Dockerfile:{number}: Debian's packages go into docker/packages.txt, one a line: {packages}"
        elif re.match(r"(CMD|ENTRYPOINT|EXPOSE|ENV)\b", line):
            yield f"Dockerfile:{number}: {line}: is it needed? docs/image.md has commands and settings"
    for path in own_compose(tree):
        yield f"{path}: it stays, for what you use it for; make up takes {BESIDE}"
    if "package.json" in tree:
        yield "package.json: build what it makes before make build, into a folder that .dockerignore names"


def style(tree: Tree) -> Iterator[str]:
    """Linters with rules of the project's own."""
    for path, pattern in STYLE.items():
        if number := line_of(tree.get(path, ""), pattern):
            word = "extend-exclude" if path.endswith(".toml") else "exclude"  # make gives flake8 an extend-exclude
            yield f"{path}:{number}: leave out make, slipway and deploy, which are the template's: {word}"


def instructions(dockerfile: str) -> Iterator[tuple[int, str]]:
    """(line, instruction) of each, its continuation lines joined."""
    number = 1
    for text in re.split(r"(?<!\\)\n", dockerfile):
        yield number, " ".join(text.replace("\\\n", " ").split())
        number += text.count("\n") + 1


def last(plan: Plan) -> Iterator[str]:
    """What comes after all."""
    for path in sorted(plan.changed):
        yield f"{path}: the diff above: by hand, or commit and call this again with --apply"
    yield "make requirements, then make test; then git add -A, git commit"
