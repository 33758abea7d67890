"""Update a project from its template. `update COPIER VERSION [OPTION…]` runs the program COPIER. `update diff VERSION
[OPTION…]` shows what would change. An empty VERSION is the newest release. Options go to copier or git diff.

copier merges the template's files, then runs the new release's vendor.py. See docs/update.md.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from slipway.make import package

ANSWERS = Path(".copier-answers.yml")
LEFT_OUT = ("tests", "examples", ".ci", "requirements.txt")  # projects lack these paths, or have their own
BESIDE = Path("compose.slipway.yaml")  # the template's compose.yaml in an adopted project that has its own


class Problem(Exception):
    pass


def main(args: Sequence[str]) -> None:
    try:
        source, commit = answers()
        with template(source, commit) as git_dir:
            if args[0] == "diff":
                diff(git_dir, commit, args[1], args[2:])
            else:
                update(git_dir, commit, *args)
    except Problem as problem:
        sys.exit(f"make: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)


def answers() -> tuple[str, str]:
    """Return the template's address and the project's version of the template."""
    if not ANSWERS.exists():
        raise Problem(f"no {ANSWERS} here, so the template's address is unknown: see docs/update.md")
    found = dict(re.findall(r"^(_\w+): *['\"]?(.*?)['\"]?$", ANSWERS.read_text(), re.MULTILINE))
    missing = [name for name in ("_src_path", "_commit") if not found.get(name)]
    if missing:
        raise Problem(f"{ANSWERS} has no {' and no '.join(missing)}: restore it from git's history, see docs/update.md")
    return found["_src_path"], found["_commit"]


def address(source: str) -> str:
    for short, long in (("gh:", "https://github.com/"), ("gl:", "https://gitlab.com/"), ("git+", "")):
        source = re.sub(f"^{re.escape(short)}/?", long, source)
    return source


@contextlib.contextmanager
def template(source: str, commit: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        done = git("clone", "--quiet", "--bare", address(source), folder)
        if done.returncode:
            raise Problem(f"cannot clone the template {source} ({last_line(done.stderr)}): correct {ANSWERS}")
        if git(f"--git-dir={folder}", "cat-file", "-e", f"{commit}^{{commit}}").returncode:
            raise Problem(f"the template {source} has no {commit}, which {ANSWERS} names as this project's version: "
                          "push it there, or set _src_path to a clone that has it")
        yield folder


# ---- update ----

def update(git_dir: str, before: str, copier: str, version: str, *options: str) -> None:
    """Merge the template's changes and print the changelog's new entries. If copier fails, change nothing."""
    refuse_dirty()
    known(git_dir, version or before)
    wanted = required()
    usual = [word for word in ("--quiet", "--trust", "--defaults") if word not in options]  # copier takes each once
    merge([copier, "update", *usual, *(["--vcs-ref", version] if version else []),
           *(["--exclude", "/compose.yaml"] if BESIDE.exists() else []), *options])
    after = answers()[1]
    if after == before and not options:
        go_back()  # copier may have reformatted the file of answers
        return say(f"this project has {after} already, so nothing has changed")
    print(news(*(git(f"--git-dir={git_dir}", "show", f"{name}:CHANGELOG.md").stdout for name in (before, after))))
    say(f"merged the template's changes from {before} to {after}: git diff HEAD shows them, git commit -a keeps them, "
        "git reset --hard undoes all")
    for path in lost(git_dir, before):
        say(f"{path} is gone, as the new template lacks it, but you had changed it: see git show HEAD:{path}")
    if required() != wanted:
        say("the package requires other packages than before: run make requirements")
    if left := take_pins(conflicts()):
        raise Problem(f"you and the template changed the same lines in {', '.join(left)}: edit what is between "
                      "<<<<<<< and >>>>>>>, then git add and git commit")


def required() -> list[list[str]]:
    return [package.required(wheel) for wheel in Path("vendor").glob(f"{package.NAME}-*.whl")]


def known(git_dir: str, version: str) -> None:
    if git(f"--git-dir={git_dir}", "cat-file", "-e", f"{version}^{{commit}}").returncode:
        versions = " ".join(output("tag", git_dir=git_dir).split())
        raise Problem(f"the template has no version {version}, only {versions}")


def refuse_dirty() -> None:
    done = git("status", "--porcelain", "--untracked-files=all")
    if done.returncode:
        raise Problem("without git an update could not be undone: git init, git add -A, git commit")
    if done.stdout:
        raise Problem(f"{len(done.stdout.splitlines())} files are not committed, so an update could not be undone: see "
                      "git status, then git commit")


def merge(command: list[str]) -> None:
    try:
        done = run(command)
        if done.returncode:
            raise Problem(f"copier failed, nothing has changed: {last_line(done.stderr)}")
    except (Problem, KeyboardInterrupt):
        go_back()
        raise


def go_back() -> None:
    git("reset", "--quiet", "--hard")
    git("clean", "--quiet", "--force", "-d")


def conflicts() -> list[str]:
    """Return the files with merge conflicts. Add new files to git, so that `git reset --hard` removes them."""
    git("add", "--", *output("ls-files", "--others", "--exclude-standard", "-z").split("\0")[:-1])
    return output("diff", "--name-only", "--relative", "--diff-filter=U", "-z").split("\0")[:-1]


def lost(git_dir: str, before: str) -> list[str]:
    """Return the files that the update deleted although the team had changed them."""
    listed = output("diff", "--name-only", "--relative", "--diff-filter=D", "-z", "HEAD", "--", ":!vendor")
    gone = listed.split("\0")[:-1]
    ours = {path: git("rev-parse", f"HEAD:./{path}").stdout for path in gone}
    return [path for path in gone if git(f"--git-dir={git_dir}", "rev-parse", f"{before}:{path}").stdout != ours[path]]


def take_pins(paths: list[str]) -> list[str]:
    """Resolve conflicts in compiled pins: take the template's files. Return the other `paths` with conflicts."""
    pins = [path for path in paths if re.fullmatch(r"requirements/.*\.txt", path)]
    if pins:
        git("checkout", "--quiet", "--theirs", "--", *pins)
        git("add", "--", *pins)
    return [path for path in paths if path not in pins]


def news(before: str, after: str) -> str:
    """Return the entries of the changelog `after` that the changelog `before` lacks, with their headings."""
    known, lines, heads = set(entries(before)), [], dict[int, str]()
    for entry in entries(after)[1:]:
        depth = len(entry) - len(entry.lstrip("#"))
        if depth:
            heads = {**{level: text for level, text in heads.items() if level < depth}, depth: entry}
        elif entry not in known:
            lines += [*heads.values(), entry]
            heads = {}
    return "\n".join(lines)


def entries(changelog: str) -> list[str]:
    return [part.rstrip() for part in re.split(r"\n+(?=#|- )|\n\n+", changelog) if part.strip()]


# ---- diff ----

def diff(git_dir: str, before: str, version: str, options: Sequence[str]) -> None:
    after = version or (output("tag", "--sort=-version:refname", git_dir=git_dir).split() or ["HEAD"])[0]
    known(git_dir, after)
    paths = [f":!{path}" for path in LEFT_OUT]
    sys.exit(subprocess.call(["git", f"--git-dir={git_dir}", "diff", *options, before, after, "--", ".", *paths]))


# ---- programs ----

def git(*words: str) -> subprocess.CompletedProcess[str]:
    return run(["git", *words])


def output(*words: str, git_dir: str = "") -> str:
    done = git(*([f"--git-dir={git_dir}"] if git_dir else []), *words)
    if done.returncode:
        raise Problem(f"git {words[0]} failed: {last_line(done.stderr)}")
    return done.stdout


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command without input. If git needs a password, git fails instead of asking."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise Problem(f"{command[0]} cannot be run: {error.strerror}") from error


def last_line(said: str) -> str:
    return (said.strip().splitlines() or ["no error message"])[-1]


def say(text: str) -> None:
    print(f"make: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
