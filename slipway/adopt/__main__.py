"""Adopt a Django project: add the template to it by `python3 -m slipway adopt PATH`; see docs/adopt.md."""

import argparse
import codecs
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from slipway.make.new import git, origin, without_user
from slipway.make.requirements import run_uv
from slipway.make.wheel import DEFAULTS, build

from .inspection import Project, inspect_project
from .packages import DEVELOPMENT, PRODUCTION, Tree, package_todo, requirement
from .proposal import LEVELS, Template, is_ours, plan, replaced_targets_todo, unchanged_files_todo
from .todo import todo

ROOT = Path(__file__).resolve().parents[2]
EDITED = ("Makefile", "packages.txt", ".dockerignore", "settings_docker.py")


def main() -> None:
    parser = argparse.ArgumentParser(prog="slipway adopt", description="Adopt a Django project: docs/adopt.md.")
    parser.add_argument("path", type=Path, help="the folder of the project's manage.py")
    parser.add_argument("--level", choices=LEVELS, default="make", help="how much to add (default: make)")
    parser.add_argument("--apply", action="store_true", help="also change existing files")
    options = parser.parse_args()
    if not (options.path / "manage.py").is_file():
        sys.exit(f"adopt: {options.path} has no manage.py: name the folder that has it")
    os.chdir(options.path)
    with tempfile.TemporaryDirectory() as folder:
        build(ROOT, Path(folder))
        [wheel] = Path(folder).glob("*.whl")
        problems = adopt([*LEVELS][: [*LEVELS].index(options.level) + 1], options.apply, wheel)
    if problems:
        sys.exit("\n".join(f"adopt: {problem}" for problem in problems))


def adopt(levels: list[str], apply: bool, wheel: Path) -> list[str]:
    """Add the files of `levels` (make, image, servers) to the project in the working folder and print a report. Change
    existing files only with `apply`. If there are problems, return them and write nothing."""
    status = git("status", "--porcelain", "--untracked-files=all", ".")
    if status.returncode or status.stdout:
        return ["commit all files first, so that git can undo the adoption: git init, git add -A, git commit"]
    tree = read_tree(Path())
    commit = git("describe", "--tags", "--always", cwd=ROOT).stdout.strip()
    template = Template(read_tree(ROOT), f"vendor/{wheel.name}", commit, without_user(origin(ROOT)) or str(ROOT))
    existing = {path: text for path, text in tree.items() if not is_ours(path, text, template.files)}
    lists = lists_above()
    project = inspect_project(existing, Path.cwd().name, lists)
    new, changed, problems = plan(tree, existing, project, levels, template, lists)
    used = {*project.packages[:3], *changed} & {*tree, *lists}
    if problems := [*problems, *unreadable_problems(sorted(used)), *unwritable_problems([*new], [*changed])]:
        return problems
    write({**new, **(changed if apply else {})})
    shutil.copy(wheel, "vendor")
    package = requirement(tree, template.wheel, project.jobs) if "image" in levels else ""
    if apply and package and project.packages.source == "uv.lock" and "slipway-django" not in tree["pyproject.toml"]:
        run_uv({**DEFAULTS, **os.environ}, "add", "--quiet", "--no-sync", package)
        tree = read_tree(Path())
    edited = "".join(f"{tree[path]}\n" for path in tree if path.endswith(EDITED))
    did = "changed" if apply else "would change, with --apply"
    items = [
        *todo(existing, project, levels, edited),
        *package_todo(tree, project.packages, package),
        *replaced_targets_todo(existing, levels, template),
        *([] if apply else unchanged_files_todo(tree, project, changed)),
        "make test, then git add -A, git commit",
    ]
    report(project, [*(f"wrote: {path}" for path in new), *(f"{did}: {path}" for path in changed)], items)
    return []


def read_tree(folder: Path) -> Tree:
    listed = git("ls-files", "-z", cwd=folder).stdout.split("\0")
    files = (path for path in listed if (folder / path).is_file())
    return {path: read(folder / path) for path in files}


def read(path: Path, errors: str = "replace") -> str:
    """Return a file's text: UTF-8 or, from PowerShell, UTF-16, as pip and uv read it, with U+FFFD for all else."""
    data = path.read_bytes()
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    return data.decode(encoding, errors).replace("\r\n", "\n")


def lists_above() -> Tree:
    """Return the lists of packages in the top folder of the git repository: ../… → text."""
    top = git("rev-parse", "--show-cdup").stdout.strip()
    paths = [f"{top}{name}" for name in (*PRODUCTION, *DEVELOPMENT) if top and Path(f"{top}{name}").is_file()]
    return {path: read(Path(path)) for path in paths}


def unreadable_problems(paths: Iterable[str]) -> list[str]:
    """Name the files whose text is not known: with a line of ours, they would have two encodings."""
    reasons = {path: why_unreadable(Path(path)) for path in paths}
    return [f"{path} {reason}: save it as UTF-8" for path, reason in reasons.items() if reason]


def why_unreadable(path: Path) -> str:
    try:
        text = read(path, "strict")
    except UnicodeDecodeError:
        return "is neither UTF-8 nor UTF-16"
    return "has null characters, such as UTF-16 without a byte order mark" if "\0" in text else ""


def unwritable_problems(new: list[str], changed: list[str]) -> list[str]:
    linked = [path for path in [*new, *changed] if Path(path).resolve() != Path.cwd() / path]
    ignored = git("check-ignore", "--", *(path for path in new if path not in linked)).stdout.splitlines()
    return [
        *(f"{path} leads via a symlink to {Path(path).resolve()}: replace the link by a copy" for path in linked),
        *(f"{path} is ignored by git, but must be committed: change .gitignore" for path in ignored),
    ]


def write(files: Tree) -> None:
    for path, text in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        is_new = not Path(path).exists()
        Path(path).write_text(text, "utf-8")
        if is_new and (ROOT / path).exists():
            shutil.copymode(ROOT / path, path)


def report(project: Project, done: list[str], items: list[str]) -> None:
    print(
        *(f"found: {name} {value or 'none'}" for name, value in vars(project).items() if isinstance(value, str)),
        f"found: packages in {project.packages.source or 'no list'}",
        f"found beside manage.py: {' '.join(project.beside)}",
        f"found beside manage.py, not in the image: {' '.join(project.outside) or 'nothing'}",
        *done,
        "",
        "left to do by hand:",
        *(f"{number:3}. {item}" for number, item in enumerate(items, 1)),
        sep="\n",
    )


if __name__ == "__main__":
    main()
