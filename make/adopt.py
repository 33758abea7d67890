"""Adopt a Django project: `python3 make/adopt.py PATH [--level make|image|servers] [--apply]`; PATH has its manage.py.

It says what it has found, writes what the level needs and is not there, prints as a diff what it would change (and
changes it with --apply), and ends with a list of what is left to do by hand. docs/adopt.md tells of the levels.
"""

import argparse
import difflib
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from adopt_look import Found, look
from adopt_plan import LEVELS, Plan, Template, make_plan
from adopt_todo import todo
from make_update import Problem, owner, owners, run
from new import origin

ROOT = Path(__file__).resolve().parent.parent


class Files(Mapping[str, str]):
    """The files that git has in a folder, each read when it is asked for; what is no text counts as empty."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = git(folder, "ls-files", "-z").split("\0")[:-1]
        self.paths = {path: None for path in listed if (folder / path).is_file()}

    def __getitem__(self, path: str) -> str:
        if path not in self.paths:
            raise KeyError(path)
        return (self.folder / path).read_text("utf-8", errors="replace")

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


def main() -> None:
    """Adopt the project, or say in a line each why not."""
    parser = argparse.ArgumentParser(prog="adopt.py", description="Adopt a Django project: docs/adopt.md.")
    parser.add_argument("path", type=Path, help="the folder of the project's manage.py")
    parser.add_argument("--level", choices=LEVELS, default="make", help="how much of the template it gets (make)")
    parser.add_argument("--apply", action="store_true", help="also change files that are there")
    options = parser.parse_args()
    try:
        adopt(options.path, options.level, options.apply)
    except Problem as problem:
        sys.exit("\n".join(f"adopt: {line}" for line in str(problem).splitlines()))


def adopt(folder: Path, level: str, apply: bool) -> None:
    """Look, refuse or write, and report."""
    refuse(folder)
    tree, template = Files(folder), the_template()
    up = git(folder, "rev-parse", "--show-cdup").strip().rstrip("/")
    found = look(tree, folder.resolve().name, Files(folder / up), up)
    plan = make_plan(tree, found, level, template)
    plan.problems += [f"{path} is there, but not in git: git add it, or remove it" for path in plan.new
                      if (folder / path).exists() or (folder / path).is_symlink()]
    if plan.problems:
        raise Problem("\n".join(plan.problems))
    changes = {path: (tree[path], text) for path, text in plan.changed.items()}
    todos = todo(tree, found, level, Plan() if apply else plan, template)
    write(folder, {**plan.new, **(plan.changed if apply else {})})
    report(found, plan, changes, todos, apply)


def refuse(folder: Path) -> None:
    """Say all that keeps this folder from being looked at."""
    problems = []
    if not (folder / "manage.py").is_file():
        problems.append(f"{folder} has no manage.py: name the folder that has it")
    if not folder.is_dir():
        raise Problem("\n".join(problems))
    done = run(["git", "-C", str(folder), "status", "--porcelain", "--untracked-files=all", "."])
    if done.returncode:
        problems.append(f"{folder} is in no git repository, which could undo this: git init, git add -A, git commit")
    elif done.stdout:
        problems.append(f"{len(done.stdout.splitlines())} files of {folder} are not committed, so git could not tell "
                        "them from what is written now: git status, then git commit")
    if problems:
        raise Problem("\n".join(problems))


def the_template() -> Template:
    """This checkout, less what projects do not get."""
    rows = owners((ROOT / "docs/update.md").read_text())
    files = Files(ROOT)
    left = {path: files[path] for path in files if owner(path, rows) != "left out"}
    version = git(ROOT, "describe", "--tags", "--always").strip()
    return Template(left, version, origin(ROOT) or str(ROOT))


def git(folder: Path, *words: str) -> str:
    done = run(["git", "-C", str(folder), *words])
    if done.returncode:
        raise Problem(f"git {words[0]} failed in {folder}: {done.stderr.strip()}")
    return done.stdout


def write(folder: Path, texts: dict[str, str]) -> None:
    """Put the files there; those of the template as executable as they are here."""
    for path, text in texts.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
        if (ROOT / path).exists():
            shutil.copymode(ROOT / path, target)


# ---- what it says ----

def report(found: Found, plan: Plan, changes: dict[str, tuple[str, str]], todos: list[str], apply: bool) -> None:
    """All of it, the diffs in the form of git apply."""
    lines = [f"found: {line}" for line in told(found)]
    lines += [f"wrote: {line}" for line in gathered(list(plan.new))]
    for path, (before, after) in sorted(changes.items()):
        lines.append(f"{'changed' if apply else 'would change'}: {path}")
        lines += diff(path, before, after)
    lines += ["", "left to do by hand:", *(f"{number:3}. {item}" for number, item in enumerate(todos, 1))]
    print("\n".join(lines))


def told(found: Found) -> list[str]:
    """What it takes the project for."""
    lines = [f"settings {found.settings}; production begins with {found.production or 'none'}, the image's tests with "
             f"{found.tests or 'none'}", f"called {found.app} (APP in the Makefile)"]
    for what, wanted in (("production", found.wanted), ("tests", found.wanted_dev)):
        lines.append(f"requirements of {what}: {wanted.source or 'none listed'}")
    return [*lines, f"Celery app: {found.celery or 'none'}", f"beside manage.py: {' '.join(found.in_image)}"]


def gathered(paths: list[str]) -> list[str]:
    """Folders with the number of their files, and files."""
    tops: dict[str, int] = {}
    for path in paths:
        top = path.split("/")[0] + "/" if path.count("/") and path.split("/")[0] in (
            "make", "docker", "slipway", "deploy", "requirements") else path
        tops[top] = tops.get(top, 0) + 1
    return [f"{top} ({count} files)" if top.endswith("/") else top for top, count in tops.items()]


def diff(path: str, before: str, after: str) -> list[str]:
    """A unified diff."""
    return [line.rstrip("\n") for line in difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{path}", f"b/{path}")]


if __name__ == "__main__":
    main()
