"""Start a project: `new start COPIER NAME OPTION…`, for make, runs the program COPIER. At its end copier runs
`new finish APP SITE_NAME PACKAGE PARTS DRIVER DJANGO`, with the answers to copier.yml, in the project's folder (PARTS:
accounts,jobs, one of them or none).

`finish` sets names, adds the package, locks all packages, writes README.md, AGENTS.md and .env; commits unless the
folder is in a git repository.
"""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from string import Template

from slipway.make import blocks, requirements, virtualenv, wheel

OF_ANOTHER = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
ANSWERS = Path(".copier-answers.yml")
TEMPLATE = wheel.CLONE  # made by copier
DJANGO = {"5.2": "django>=5.2,<5.3", "6.0": "django>=6.0,<6.1"}
PYPROJECT = """# The packages, which `uv add` and `uv remove` change, too, and settings of tools: docs/make.md, "Pins".
[project]
name = "{app}"
version = "0"
requires-python = ">={python}"
dependencies = []

"""
TOOLS = "# ---- tools: a new project gets what follows, too ----\n\n"  # in the template's pyproject.toml
# Where files name the package.
PACKAGE = re.compile(r"\bproject(?=/|\.[\w*]|\")|(?<=^!)project$|(?<=PROJECT=)project$", re.MULTILINE)
PINS = ("requirements.txt", "requirements/dev.txt")  # the template's, and what make writes in a project
# What settings say instead if Django itself sends the Content-Security-Policy: file → {old: new}.
POLICY = {
    "project/settings_base.py": {
        "from csp.constants import NONCE, NONE, SELF": "from django.utils.csp import CSP",
        '    "csp",\n': "",
        "csp.middleware.CSPMiddleware": "django.middleware.csp.ContentSecurityPolicyMiddleware",
        "https://django-csp.readthedocs.io/": "https://docs.djangoproject.com/en/6.0/ref/csp/",
        "_policy = {": "SECURE_CSP = {",
        'CONTENT_SECURITY_POLICY = {"DIRECTIVES": _policy}\n': "",
        "[SELF]": "[CSP.SELF]",
        "[SELF, NONCE]": "[CSP.SELF, CSP.NONCE]",
        "[NONE]": "[CSP.NONE]",
    },
    "project/settings_docker.py": {
        "CONTENT_SECURITY_POLICY": "SECURE_CSP",
        '[(address, address) for address in env.words("ADMINS")]': 'env.words("ADMINS")',
    },
}


class Problem(Exception):
    """An error that says in one line what is wrong and what to do."""


def main(action: str, *args: str) -> None:
    try:
        if action == "start":
            start(*args)
        else:
            finish(*args)
    except Problem as problem:
        sys.exit(f"make: {problem}")


def start(copier: str, name: str, *options: str) -> None:
    """Make the project `name` from this clone's last commit. copier asks, if there is a terminal."""
    if not name:
        raise Problem("no NAME: name the folder, such as make new NAME=../shop")
    if Path(name).exists():
        raise Problem(f"{name} exists already: choose another NAME")
    done = git("status", "--porcelain")
    if done.returncode or done.stdout:
        raise Problem("some files are not committed, and a project would lack them: see git status, then git commit")
    try:
        Path(name).mkdir(parents=True)
        Path(name).rmdir()
    except OSError as error:
        raise Problem(f"{name} cannot be made: choose another NAME") from error
    usual = ["--quiet", "--trust"] if sys.stdin.isatty() else ["--quiet", "--trust", "--defaults"]
    usual = [word for word in usual if word not in options]  # copier takes each once
    commit = [] if any(word.startswith("--vcs-ref") or word == "-r" for word in options) else ["--vcs-ref", "HEAD"]
    env = {**os.environ, "UV": virtualenv.uv_path(os.environ)}
    try:
        code = subprocess.call([copier, "copy", *usual, *commit, *options, ".", name], env=env)
    except KeyboardInterrupt:
        shutil.rmtree(name, ignore_errors=True)  # half a project would keep its name from the next
        raise
    unmade = Path(name, ".git").exists() and git("rev-parse", "--verify", "HEAD", cwd=Path(name)).returncode
    sys.exit(code or unmade)


def finish(app: str, site_name: str, package: str, parts: str, driver: str, django: str) -> None:
    if package in taken_names():
        raise Problem(f"a package named {package} would hide another one: choose another name")
    set_names(app, site_name)
    chosen = [part for part in (*parts.split(","), driver) if part]
    python = "3.11"
    if django == "5.2":
        chosen.append("csp")
    else:
        python = "3.12"
        refuse_old_python(os.environ.get("PYTHON", "python3"))
        use_new_django()
    broker = " and BROKER_URL" if "jobs" in chosen else ""
    write_readme(app=app, site_name=site_name, broker=broker, python=python)
    write_pyproject(app, python)
    unused = [part for part in blocks.MARKS if part not in chosen]
    leave_out(*unused)
    if "jobs" in unused:
        replace("deploy/staging.toml", "^(roles = ).*$", '["web"]')
    rename_package(package)
    with open(".gitignore", "a", encoding="utf-8") as file:
        file.writelines(f"/{path}\n" for path in PINS)
    wheel.main(TEMPLATE)
    lock(DJANGO[django], chosen, blocks.without((TEMPLATE / "requirements/dev.in").read_text("utf-8"), *unused))
    write_env(Path(".env"))
    reachable_source(ANSWERS)
    commit(app)


def set_names(app: str, site_name: str) -> None:
    settings = "project/settings_base.py"
    replace(settings, r"^(SITE_NAME = ).*$", json.dumps(site_name, ensure_ascii=False))
    for path in sorted(Path("deploy").glob("*.toml")):
        for key in ("app", "image"):
            replace(str(path), rf"^({key} = ).*$", f'"{app}"')


def taken_names() -> set[str]:
    """Return names that the project needs for folders, or that Python or a package has for a module."""
    own = "slipway deploy docker vendor var ve wheelhouse manage tests allauth axes csp".split()
    pins = re.findall(r"^([\w.-]+)==", (TEMPLATE / PINS[0]).read_text("utf-8"), re.MULTILINE)
    return {*sys.stdlib_module_names, *own, *(pin.replace("-", "_") for pin in pins)}


def rename_package(package: str) -> None:
    """Call the package `project` by its own name, in its folder and in all of the template's files that name it."""
    if package == "project":
        return
    copied = git("ls-files", ":!deploy", cwd=TEMPLATE).stdout.splitlines()
    for path in map(Path, ["README.md", "AGENTS.md", "pyproject.toml", *copied]):
        if path.is_file() and path.suffix != ".svg":
            path.write_text(PACKAGE.sub(package, path.read_text("utf-8")), "utf-8")
    Path("project").rename(package)


def replace(path: str, pattern: str, value: str) -> None:
    """Replace one line by `pattern`'s first group and `value`. Raise Problem unless exactly one line matches."""
    text, count = re.subn(pattern, lambda match: match[1] + value, Path(path).read_text(), flags=re.MULTILINE)
    if count != 1:
        raise Problem(f"{path} of the template has {count} lines like {pattern} instead of one")
    Path(path).write_text(text)


def use_new_django() -> None:
    """Let Django send the Content-Security-Policy."""
    for path, changes in POLICY.items():
        text = Path(path).read_text("utf-8")
        for old, new in changes.items():
            if old not in text:
                raise Problem(f"{path} of the template has no {old!r}")
            text = text.replace(old, new)
        Path(path).write_text(text, "utf-8")


def refuse_old_python(python: str) -> None:
    """Raise Problem if Django 6 does not run on this Python: uv could not lock its packages."""
    code = "import sys; from slipway.make.python import lacks; print(lacks(*sys.argv[1:]))"
    env = {**os.environ, "PYTHONPATH": str(TEMPLATE)}
    if lack := subprocess.check_output([python, "-c", code, python, "3.12"], env=env, text=True).strip():
        raise Problem(lack)


def write_pyproject(app: str, python: str) -> None:
    tools = (TEMPLATE / "pyproject.toml").read_text("utf-8").partition(TOOLS)[2]
    Path("pyproject.toml").write_text(PYPROJECT.format(app=app, python=python) + tools, "utf-8")


def write_readme(**words: str) -> None:
    """Write README.md, and its part for whoever changes the code as AGENTS.md."""
    text = Template(files("slipway.make").joinpath("README.project.md").read_text("utf-8")).substitute(words)
    Path("README.md").write_text(text, "utf-8")
    Path("AGENTS.md").write_text(text.partition("\n## Ship\n")[0], "utf-8")


def leave_out(*parts: str) -> None:
    for path in (path for pattern in blocks.PATHS for path in Path().glob(pattern)):
        path.write_text(blocks.without(path.read_text("utf-8"), *parts), "utf-8")


def lock(django: str, extras: list[str], development: str) -> None:
    """Let uv write the packages into pyproject.toml, and lock them in the versions that the template is tested with."""
    [package] = Path("vendor").glob(f"{wheel.NAME}-*.whl")
    pins = [f"--constraints={TEMPLATE / path}" for path in PINS]
    env = {**wheel.DEFAULTS, **os.environ}
    words = ["add", "--quiet", "--no-sync", "--no-workspace", *pins]
    requirements.run_uv(env, *words, django, f"./{package}[{','.join(sorted(extras))}]")
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder, "dev.in")
        names.write_text(development, "utf-8")
        requirements.run_uv(env, *words, "--dev", f"--requirements={names}")


def write_env(path: Path) -> None:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(f"SECRET_KEY={secrets.token_urlsafe(48)}\n")


def reachable_source(answers: Path) -> None:
    """If the template is a local clone, record the clone's origin in `answers`, as other machines lack the clone. An
    origin that lacks the commit could not update the project: record the clone, and say what to do."""
    clone = origin(TEMPLATE)
    if Path(clone).is_dir():
        upstream = without_user(origin(Path(clone)))
        head = git("rev-parse", "HEAD", cwd=TEMPLATE).stdout.strip()
        pushed = git("for-each-ref", "--contains", head, "refs/remotes", cwd=Path(clone)).stdout
        if upstream and not pushed:
            say(
                f"{upstream} lacks the commit that this project is made from: push it, then write that address into "
                f"{answers} as _src_path, or others cannot update the project"
            )
        source = upstream if pushed and re.match(r"/|[^/]+:", upstream) else str(Path(clone))
        text = re.sub(r"^_src_path: .*$", lambda _: f"_src_path: {json.dumps(source)}", answers.read_text(), flags=re.M)
        answers.write_text(text)


def without_user(url: str) -> str:
    """Remove user and password from an http URL, because git will store the URL. An ssh user is no secret."""
    return re.sub(r"^(https?://)[^/@]*@", r"\1", url)


def origin(folder: Path) -> str:
    return git("config", "remote.origin.url", cwd=folder).stdout.strip()


def commit(app: str) -> None:
    if git("rev-parse", "--is-inside-work-tree").returncode == 0:
        say(f"made {app}; next: git add, git commit")
        return
    git("init", "--quiet")
    git("symbolic-ref", "HEAD", "refs/heads/main")
    git("add", "--all")
    done = git("commit", "--quiet", "--message", f"Start {app}")
    if done.returncode:
        cause = last_line(done.stderr or done.stdout)
        say(f"made {app}, but git commit failed ({cause}): correct this, then git commit")
        return
    say(f"made {app}; next: cd {Path.cwd()}, make runserver, make test, make build")


def say(text: str) -> None:
    print(f"make: {text}", file=sys.stderr)


def last_line(output: str) -> str:
    return (output.strip().splitlines() or ["no error message"])[-1]


def git(*words: str, cwd: Path = Path()) -> subprocess.CompletedProcess[str]:
    """Run git in the folder `cwd`, without variables such as GIT_DIR, which may name another repository."""
    env = {name: value for name, value in os.environ.items() if name not in OF_ANOTHER} | {"GIT_TERMINAL_PROMPT": "0"}
    return subprocess.run(["git", *words], cwd=cwd, env=env, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
