"""Make a project of a fresh copy of the template: copier calls this in the copy, `python3 make/new.py APP SITE_NAME`.

It sets the names, writes `.env` and makes the first commit. `python3 make/new.py readme` alone takes out of README.md
what tells of the template; `make mine` calls that.
"""

import json
import re
import secrets
import subprocess
import sys
from pathlib import Path

ANSWERS = Path(".copier-answers.yml")
SECTIONS = ("A project of your own", "The template itself")  # of the README


class Problem(Exception):
    """What is wrong and what to do, in one line."""


def main(args: list[str]) -> None:
    """Do what the arguments say, in this folder."""
    readme = Path("README.md")
    try:
        if args == ["readme"]:
            readme.write_text(without_template(readme.read_text()))
            return
        app, site_name = args
        readme.write_text(of_project(without_template(readme.read_text()), app, site_name))
        set_names(app, site_name)
        write_env(Path(".env"))
        reachable_source(ANSWERS)
        commit(app)
    except Problem as problem:
        sys.exit(f"make: {problem}")


def without_template(readme: str) -> str:
    """The README without its sections on the template, and without the picture of its page."""
    heads = re.split(r"^(?=## )", readme, flags=re.MULTILINE)
    kept = "".join(head for head in heads if not head.startswith(tuple(f"## {name}\n" for name in SECTIONS)))
    return re.sub(r"<img [^>]*>\n\n", "", kept)


def of_project(readme: str, app: str, site_name: str) -> str:
    """The README with the project's name in place of what the template says of itself."""
    body = readme[readme.index("\n## "):]
    return f"# {site_name}\n" + re.sub(r"git clone .*", f"git clone URL {app} && cd {app}", body, count=1)


def set_names(app: str, site_name: str) -> None:
    """Write the names where the template has its own."""
    settings = "project/settings_shared.py"
    replace("Makefile", r"^(APP +\?= ).*$", app)
    replace(settings, r"^(SITE_NAME = ).*$", json.dumps(site_name, ensure_ascii=False))
    for path in sorted(Path("deploy").glob("*.toml")):
        replace(str(path), r"^(app = ).*$", f'"{app}"')


def replace(path: str, pattern: str, value: str) -> None:
    """Replace what follows the pattern's group, in its one line of the file."""
    text, count = re.subn(pattern, lambda found: found[1] + value, Path(path).read_text(), flags=re.MULTILINE)
    if count != 1:
        raise Problem(f"{path} of the template has {count} lines like {pattern}, and should have one")
    Path(path).write_text(text)


def write_env(path: Path) -> None:
    """Settings of this machine, which git does not keep; what is there already stays."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(f"SECRET_KEY={secrets.token_urlsafe(48)}\n")


def reachable_source(answers: Path) -> None:
    """Note where others too can have the template: of a clone on this machine not its folder, but its origin."""
    clone = origin(Path(__file__).resolve().parent)  # this file is in one that copier has made for itself
    if Path(clone).is_dir():
        known = origin(Path(clone))
        source = without_user(known) if re.match(r"/|[^/]+:", known) else str(Path(clone))
        text = re.sub(r"^_src_path: .*$", lambda _: f"_src_path: {json.dumps(source)}", answers.read_text(), flags=re.M)
        answers.write_text(text)


def without_user(url: str) -> str:
    """The URL without a user and password, which no file may hold that git keeps; ssh's user is no secret."""
    return re.sub(r"^(https?://)[^/@]*@", r"\1", url)


def origin(folder: Path) -> str:
    return git("config", "remote.origin.url", cwd=folder).stdout.strip()


def commit(app: str) -> None:
    """The first commit; in a folder that git has already, that is its owner's to make."""
    if git("rev-parse", "--is-inside-work-tree").returncode == 0:
        say(f"made {app}; git commit keeps it")
        return
    git("init", "--quiet")
    git("symbolic-ref", "HEAD", "refs/heads/main")
    git("add", "--all")
    done = git("commit", "--quiet", "--message", f"Start {app}")
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or "git did not say why"
        say(f"made {app}, but not its first commit: {said.splitlines()[-1]}")
    say(f"made {app}: cd {Path.cwd()}, then make runserver, make, make build")


def git(*words: str, cwd: Path = Path()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *words], cwd=cwd, capture_output=True, text=True)


def say(text: str) -> None:
    print(f"make: {text}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
