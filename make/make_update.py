"""Keep a project up to date with its template: `python3 make/make_update.py update COPIER [VERSION]` merges what the
template has new, `… diff [OPTIONS]` shows how the template's own files differ here.

copier does the merge, as copier.yml of the template says. docs/update.md tells how to use this.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

ANSWERS = Path(".copier-answers.yml")
BESIDE = Path("compose.slipway.yaml")  # an adopted project's: its compose.yaml is its own


class Problem(Exception):
    """What is wrong and what to do, in one line."""


def main(args: Sequence[str]) -> None:
    """Do what the arguments say, in this folder."""
    try:
        source, commit = answers()
        with template(source, commit) as git_dir:
            if args[0] == "diff":
                diff(git_dir, commit, args[1:])
            else:
                update(git_dir, commit, args[1], args[2])
    except Problem as problem:
        sys.exit(f"make: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)


def answers() -> tuple[str, str]:
    """Where the template is, and which of its versions this project has."""
    if not ANSWERS.exists():
        raise Problem(f"no {ANSWERS} here, which says what template this is of: see docs/update.md")
    found = dict(re.findall(r"^(_\w+): *['\"]?(.*?)['\"]?$", ANSWERS.read_text(), re.MULTILINE))
    missing = [name for name in ("_src_path", "_commit") if not found.get(name)]
    if missing:
        raise Problem(f"{ANSWERS} has no {' and no '.join(missing)}: take it from git's history, see docs/update.md")
    return found["_src_path"], found["_commit"]


def address(source: str) -> str:
    """The template's address for git, where copier knows a shorter one."""
    for short, long in (("gh:", "https://github.com/"), ("gl:", "https://gitlab.com/"), ("git+", "")):
        source = re.sub(f"^{re.escape(short)}/?", long, source)
    return source


@contextlib.contextmanager
def template(source: str, commit: str) -> Iterator[str]:
    """A bare clone of the template while the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        done = git("clone", "--quiet", "--bare", address(source), folder)
        if done.returncode:
            raise Problem(f"the template {source} cannot be had ({last_line(done.stderr)}): {ANSWERS} says where it is")
        if git(f"--git-dir={folder}", "cat-file", "-e", f"{commit}^{{commit}}").returncode:
            raise Problem(f"the template {source} has no {commit}, which {ANSWERS} names as this project's version")
        yield folder


# ---- update ----

def update(git_dir: str, before: str, copier: str, version: str) -> None:
    """Merge what the template has new, and say what that is; where it fails, nothing has changed."""
    refuse_dirty()
    if version and git(f"--git-dir={git_dir}", "cat-file", "-e", f"{version}^{{commit}}").returncode:
        raise Problem(f"the template has no version {version}: " + " ".join(output("tag", git_dir=git_dir).split()))
    merge([copier, "update", "--quiet", "--trust", "--defaults", *(["--vcs-ref", version] if version else []),
           *(["--exclude", "/compose.yaml"] if BESIDE.exists() else [])])
    after = answers()[1]
    if after == before:
        go_back()  # no matter how copier writes the answers down
        return say(f"this project has {after} already, which is the template's newest version")
    print(news(*(git(f"--git-dir={git_dir}", "show", f"{name}:CHANGELOG.md").stdout for name in (before, after))))
    say(f"merged the template's changes from {before} to {after}: git diff HEAD shows them, git commit -a keeps them, "
        "git reset --hard undoes all")
    for path in lost(git_dir, before):
        say(f"{path} has gone, as the template renamed or dropped it, and you had changed it: git show HEAD:{path}")
    end(take_pins(conflicts()))


def refuse_dirty() -> None:
    """An update of a clean tree can be undone, and is told apart from other changes."""
    done = git("status", "--porcelain", "--untracked-files=all")
    if done.returncode:
        raise Problem("an update needs git, which would undo it: git init, git add -A, git commit")
    if done.stdout:
        raise Problem(f"{len(done.stdout.splitlines())} files are not committed, so an update could not be undone: see "
                      "git status, then git commit")


def merge(command: list[str]) -> None:
    """All of it or nothing."""
    try:
        done = run(command)
        if done.returncode:
            raise Problem(f"copier changed nothing: {last_line(done.stderr)}")
    except (Problem, KeyboardInterrupt):
        go_back()
        raise


def go_back() -> None:
    """To what is committed, which before was all that is here."""
    git("reset", "--quiet", "--hard")
    git("clean", "--quiet", "--force", "-d")


def conflicts() -> list[str]:
    """The files in which both have changed the same lines. What is new counts for git, so that a reset removes it."""
    git("add", "--", *output("ls-files", "--others", "--exclude-standard", "-z").split("\0")[:-1])
    return output("diff", "--name-only", "--relative", "--diff-filter=U", "-z").split("\0")[:-1]


def lost(git_dir: str, before: str) -> list[str]:
    """The files that have gone and held more than the template's."""
    gone = output("diff", "--name-only", "--relative", "--diff-filter=D", "-z", "HEAD").split("\0")[:-1]
    ours = {path: git("rev-parse", f"HEAD:./{path}").stdout for path in gone}
    return [path for path in gone if git(f"--git-dir={git_dir}", "rev-parse", f"{before}:{path}").stdout != ours[path]]


def take_pins(paths: list[str]) -> list[str]:
    """Compiled files are no matter of lines: take the template's. Returns what is left to resolve by hand."""
    pins = [path for path in paths if re.fullmatch(r"requirements/.*\.txt", path)]
    if pins:
        git("checkout", "--quiet", "--theirs", "--", *pins)
        git("add", "--", *pins)
    return [path for path in paths if path not in pins]


def end(left: list[str]) -> None:
    """Say what is left to do."""
    changed = output("diff", "--name-only", "--relative", "HEAD")
    if re.search(r"^requirements\S*\.(in|txt)$", changed, re.MULTILINE):
        say("what is required has changed: make requirements compiles the pins")
    if left:
        raise Problem(f"the same lines were changed here and there in {', '.join(left)}: choose between <<<<<<< and "
                      ">>>>>>>, then git add and git commit")


def news(before: str, after: str) -> str:
    """What a changelog says now and did not before, below its headings."""
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
    """Its headings, points and paragraphs."""
    return [part.rstrip() for part in re.split(r"\n+(?=#|- )|\n\n+", changelog) if part.strip()]


# ---- diff ----

def diff(git_dir: str, commit: str, options: Sequence[str]) -> None:
    """git diff from the template's version of its own files to what is here."""
    repository = ["git", f"--git-dir={git_dir}", "--work-tree=."]
    run([*repository, "read-tree", commit])
    rows = owners(output("show", f"{commit}:docs/update.md", git_dir=git_dir))
    paths = output("ls-files", "-z", git_dir=git_dir).split("\0")[:-1]
    others = [path for path in paths if owner(path, rows) != "template"]
    run([*repository, "update-index", "-z", "--force-remove", "--stdin"], "\0".join(others))
    sys.exit(subprocess.call([*repository, "diff", *options]))


def owners(page: str) -> dict[str, str]:
    """Path or pattern → whose it is."""
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]+?) +\|", page, re.MULTILINE))


def owner(path: str, rows: dict[str, str]) -> str:
    """Of the rows that cover the path the longest counts."""
    covering = [row for row in rows if covers(row, path)]
    return rows[max(covering, key=len)] if covering else ""


def covers(row: str, path: str) -> bool:
    """Whether a row of the page is for the path."""
    return path.startswith(row) or PurePosixPath(f"/{path}").match(f"/{row}")


# ---- programs ----

def git(*words: str) -> subprocess.CompletedProcess[str]:
    return run(["git", *words])


def output(*words: str, git_dir: str = "") -> str:
    """What git says; a failure is no answer."""
    done = git(*([f"--git-dir={git_dir}"] if git_dir else []), *words)
    if done.returncode:
        raise Problem(f"git {words[0]} failed: {last_line(done.stderr)}")
    return done.stdout


def run(command: list[str], said: str = "") -> subprocess.CompletedProcess[str]:
    """Run to the end with what it says kept; it gets `said` to read, and asks nothing."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(command, env=environment, input=said, capture_output=True, text=True)
    except OSError as error:
        raise Problem(f"{command[0]} cannot be run: {error.strerror}") from error


def last_line(said: str) -> str:
    return (said.strip().splitlines() or ["it did not say why"])[-1]


def say(text: str) -> None:
    print(f"make: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
