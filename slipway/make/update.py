"""Update a project from its template: `update COPIER VERSION OPTION…`. VERSION may be empty: the newest release. The
program COPIER merges the template's files and runs wheel.py of the new release. See docs/update.md."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from slipway.make import requirements, virtualenv
from slipway.make.new import ANSWERS, Problem, git, last_line, say

RELEASE = re.compile(r"refs/tags/(v?[0-9]+(?:\.[0-9]+)*)$", re.MULTILINE)


def main(copier: str, version: str, *options: str) -> None:
    try:
        source, before, target = versions(version)
        head = output("ls-remote", source, "HEAD") if target == "HEAD" else ""
        if not options and (target == before or head.startswith(before.split("-g")[-1])):
            return say(f"this project has {before}, the newest release, so nothing has changed")
        with tempfile.TemporaryDirectory() as folder:
            template = clone(source, before, folder)
            update(copier, target, options)
            news = output(template, "diff", "--unified=0", before, target, "--", "CHANGELOG.md")
        print(*(line[1:] for line in news.splitlines() if re.match(r"\+[^+]", line)), sep="\n")
        finish(before, target)
    except (Problem, OSError) as problem:
        sys.exit(f"make: {problem}")


def versions(version: str) -> tuple[str, str, str]:
    """Return the template's address, the project's version of it, and `version` or the newest release."""
    source, before = answers()
    done = git("ls-remote", "--tags", "--refs", "--sort=-version:refname", source)
    if done.returncode:
        raise Problem(f"cannot read the template {source} ({done.stderr.strip().splitlines()[0]}): correct {ANSWERS}")
    releases = RELEASE.findall(done.stdout)
    if version and version not in releases:
        raise Problem(f"the template has no version {version}, only {' '.join(releases[::-1])}")
    return source, before, version or next(iter(releases), "HEAD")


def answers() -> tuple[str, str]:
    """Return the template's address and the project's version of the template."""
    text = ANSWERS.read_text() if ANSWERS.exists() else ""
    values = dict(re.findall(r"^(_\w+): *['\"]?(.*?)['\"]?$", text, re.MULTILINE))
    if not values.get("_src_path") or not values.get("_commit"):
        raise Problem(f"no {ANSWERS} with _src_path and _commit: restore it from git's history, see docs/update.md")
    hosts = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/", "git+": ""}
    return re.sub("^(gh:|gl:|git[+])/?", lambda short: hosts[short[1]], values["_src_path"]), values["_commit"]


def clone(source: str, before: str, folder: str) -> str:
    """Clone the template into `folder`. Return git's option for it. Raise Problem if it lacks the commit `before`."""
    output("clone", "--quiet", "--bare", "--filter=blob:none", source, folder)
    if git(f"--git-dir={folder}", "cat-file", "-e", f"{before}^{{commit}}").returncode:
        raise Problem(
            f"the template {source} has no {before}, which {ANSWERS} names as this project's version: push "
            "it there, or set _src_path to a clone that has it"
        )
    return f"--git-dir={folder}"


def update(copier: str, target: str, options: tuple[str, ...]) -> None:
    """Run copier. If it fails, change nothing."""
    done = git("status", "--porcelain", "--untracked-files=all")
    if done.returncode or done.stdout:
        raise Problem("an update could not be undone, as not all files are committed: see git status, then git commit")
    usual = [word for word in ("--quiet", "--trust", "--defaults") if word not in options]  # copier takes each once
    usual += [] if "--vcs-ref" in options else ["--vcs-ref", target]
    command = [copier, "update", *usual, *options]
    if Path("compose.slipway.yaml").exists():  # an adopted project has its own compose.yaml
        command += ["--exclude", "/compose.yaml"]
    try:
        env = {**os.environ, "UV": virtualenv.uv_path(os.environ)}
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Problem(f"copier failed, nothing has changed: {last_line(done.stderr)}")
    except (OSError, Problem, KeyboardInterrupt):
        git("reset", "--quiet", "--hard")
        git("clean", "--quiet", "--force", "-d")
        raise


def finish(before: str, target: str) -> None:
    """Compile the pins, and say what is left. Take the template's .mk files, so that make goes on."""
    conflicts = output("diff", "--name-only", "--relative", "--diff-filter=U", "-z").split("\0")[:-1]
    for path in (ours := [path for path in conflicts if path.endswith(".mk")]):
        git("checkout", "--quiet", "--theirs", "--", path)
        say(f"{path} is the template's now, as both changed the same lines: see git diff HEAD {path}")
    say(f"merged from {before} to {target}: git diff HEAD shows it, git commit -a keeps it, git reset --hard undoes it")
    problems = []
    try:
        pin()
    except Problem as problem:
        problems.append(str(problem))
    finally:  # git reset --hard then removes new files, too
        output("add", "--", *ours, *output("ls-files", "--others", "--exclude-standard", "-z").split("\0")[:-1])
    if left := [path for path in conflicts if path not in ours]:
        problems.append(
            f"you and the template changed the same lines in {', '.join(left)}: edit what is between "
            "<<<<<<< and >>>>>>>, then git add and git commit"
        )
    if problems:
        raise Problem("\nmake: ".join(problems))


def pin() -> None:
    """Pin what the new package needs, by the project's own make. A requirements.txt that no program writes has the
    package's new path, but not what else that needs."""
    if not requirements.LOCK.exists() and not requirements.commands(["requirements.txt"]):
        say("requirements.txt has the new package: add what else it needs, or move to uv.lock: docs/update.md")
        return
    env = {name: text for name, text in os.environ.items() if not name.startswith("MAKE") and name != "VE"}
    if subprocess.run(["make", "--silent", "requirements"], env=env, check=False).returncode:
        raise Problem("the pins are not the new package's, see above: correct this, then make requirements")


def output(*words: str) -> str:
    done = git(*words)
    if done.returncode:
        command = next(word for word in words if not word.startswith("--"))
        raise Problem(f"git {command} failed: {last_line(done.stderr)}")
    return done.stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
