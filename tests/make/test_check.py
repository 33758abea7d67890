"""Tests of make test and make lint: their parts, in their order, and how they end."""

import json
import os
import re
import signal

import pytest

from proc import (
    ROOT,
    append,
    executable,
    put,
    put_into_git,
    run,
    running,
    signal_group,
    wait_until,
    words_of,
)

# Assume-old: do not remake the checkout's own virtualenv from here.
MAKE = ["make", "-o", "ve/sentinel", "-o", "ve/sentinel-dev", "-o", "ve/sentinel-tests", "-C"]


STEPS = {
    "check": "manage.py check",
    "flake8": "-m flake8 ",
    "ruff": "check .",
    "mypy": "-m mypy",
    "shellcheck": "run.sh",
    "hadolint": "Dockerfile",
    "migrations": "manage.py makemigrations --check",
    "tests": "manage.py test ours",
    "pytest": " tests -k mine",
}


PARTS = list(STEPS)


def summary(done):
    """Return the parts that the last line before make's own names."""
    lines = [line for line in done.stderr.splitlines() if "***" not in line]
    return lines[-1].removeprefix("make: failed: ").split() if lines else []


@pytest.mark.parametrize(
    "failing", [PARTS[1:], ["flake8", "pytest"], ["mypy", "migrations"], ["tests"], [], ["check", "mypy"]], ids=" ".join
)
def test_make_test_runs_all_parts_and_says_which_failed(project, failing):
    """All parts run in order, even if some fail, and the last line names those, or all passed. If check fails, no test
    runs, because Django would refuse each. Later tests cover each part's output."""
    fails = "|".join(f'*"{STEPS[part]}"*' for part in failing) or "-"
    stub(project, f'echo "$*" >>said; case "$*" in {fails}) exit 3;; esac')
    done = make(project, "test", "ARGS=ours", "PYTEST_ARGS=-k mine")
    said, steps = (project / "said").read_text().splitlines(), [*STEPS.values()][: 6 if "check" in failing else None]
    assert len(said) == len(steps) and all(step in line for step, line in zip(steps, said, strict=False)), said
    assert (done.returncode, summary(done)) == (2 if failing else 0, failing), done.stderr
    assert (f"\nmake: passed: {' '.join(PARTS)}\n" in done.stdout) == (not failing)
    assert ("make: makemigrations failed, see above" in done.stderr) == ("migrations" in failing)


@pytest.mark.parametrize("target, parts", [("check", PARTS[:1]), ("flake8", PARTS[1:2]), ("lint", PARTS[:6])])
def test_parts_alone(project, target, parts):
    """make check, flake8 and lint run some of the parts, each once, after what the Makefile adds to check or flake8."""
    (project / "local.mk").write_text("check flake8: ours\nours: ; @echo ours >>said\n")
    stub(project, 'echo "$*" >>said')
    said = make(project, "--no-print-directory", target).stdout
    assert said.endswith(f"make: passed: {' '.join(parts)}\n")
    said = (project / "said").read_text().splitlines()
    assert len(said) == len(parts) + 1 and all(
        step in line for step, line in zip(["ours", *map(STEPS.get, parts)], said, strict=False)
    ), said


def test_tests_that_another_command_runs(project):
    """TESTS names the command, and its failure is reported like the others. pytest does not also run tests/."""
    stub(project, 'echo "$*" >>said; case "$*" in *"-m pytest ours"*) exit 3;; esac')
    done = make(project, "test", "TESTS=-m pytest ours", "ARGS=-x", "PYTEST_ARGS=-k mine")
    said = (project / "said").read_text().splitlines()
    assert summary(done) == ["tests"] and said[-1] == "-m pytest ours -k mine -x" and len(said) == len(STEPS) - 1, said


@pytest.mark.parametrize(
    "words, message",
    [
        (["TEST=project.home project.tests"], "manage.py test project.home project.tests -x"),
        (["TEST=project/home/tests.py project/shop"], "manage.py test project.home.tests project/shop -x"),
        (["TEST=tests/test_a.py"], "-m pytest tests/test_a.py -k mine"),
        (["TEST=a_test.py", "TESTS=-m pytest"], "-m pytest a_test.py -k mine -x"),
        (["TEST=it's"], "make: TEST: No closing quotation"),
        (
            ["TEST=x", "TESTS=pytest"],
            "make: TESTS = pytest needs pytest-django: uv add --dev pytest-django, or add it to requirements/dev.txt",
        ),
    ],
)
def test_some_tests_alone(project, words, message):
    """TEST runs these tests alone: by Django, by pytest if they are in tests/, or as TESTS says."""
    stub(project, 'echo "$*" >&2; exit 3')
    done = make(project, "test", "ARGS=-x", "PYTEST_ARGS=-k mine", *words)
    assert ([line for line in done.stderr.splitlines() if "***" not in line], done.returncode) == ([message], 2)


def test_the_build_runs_the_same(project):
    """TESTS and the list of apps with allowed drift reach docker-test.sh."""
    executable(project / "its docker", '#!/bin/sh\nprintf "[%s]" "$@" >>calls\n')
    make(project, "build", "-o", "wheelhouse", "DOCKER='./its docker'", "TESTS=pytest", "DRIFT_ALLOWED=one two")
    said, file = (project / "calls").read_text(), (ROOT / "Dockerfile").read_text()
    assert "[TESTS=-m pytest --ds=project.settings_test -o python_files=test*.py --pyargs]" in said
    assert "[--build-arg][DRIFT_ALLOWED=one two]" in said
    assert re.search(r'ARG TESTS="manage.py test"\n(.*\n)*RUN (.*\n)?.*TESTS="\$TESTS" .*/docker-test.sh tests', file)
    assert re.search(r'ARG DRIFT_ALLOWED=\n(.*\n)*RUN (.*\n)?.*DRIFT_ALLOWED="\$DRIFT_ALLOWED" sh /docker-', file)


LOCK = {"table": "shop_item", "waits": "writers", "work": {"shop_item": {"scanned": 1}, "shop_line": {"rewritten": 2}}}


ENTRY = {"changes": [], "before": {}, "warnings": ["a", "b"], "locks": [LOCK]}


SHOWN = [
    "/dev/null shop.0002 shop.0003",
    "shop.0003 on postgresql: warning: a; b",
    "shop.0003 on postgresql: shop_item: writers wait while it is scanned and shop_line is rewritten (2 times)",
]


def test_the_verdicts_on_new_migrations_are_shown(project):
    """New are those of the last commit, and those that are not committed."""
    noted = {"migrations": {"shop.0001": ENTRY, "shop.0003": ENTRY}, "uses": {}}
    judged = json.dumps({"version": 3, "vendors": {"postgresql": noted}})
    executable(project / "stub", f"#!/bin/sh\n[ $1 != run ] || echo '{judged}'")
    stub(project, 'case "$*" in "-m slipway.schema.verdicts "*) shift 2; echo "$@"; esac')
    for number, step in enumerate((put_into_git, put_into_git, lambda folder: None), 1):
        put(project / f"shop/migrations/000{number}.py", "")
        step(project)
    done = make(project, "test", "build", "-o", "wheelhouse", "DOCKER=./stub")
    assert done.returncode == 0 and [line for line in done.stdout.splitlines() if "shop" in line] == SHOWN, done.stdout


@pytest.mark.parametrize("tests, message", [("manage.py test", "(failures=1)"), ("pytest", "project.settings_test")])
def test_coverage(project, tests, message):
    """make coverage prints a number and writes pages, and fails as the tests do, those of TESTS = pytest, too."""
    append(project / "project/tests.py", "        self.fail()\n")
    done = make(project, "coverage", "TEST=project.tests", f"TESTS={tests}")
    assert done.returncode == 2 and message in done.stdout + done.stderr, done.stdout + done.stderr
    assert re.search(r"^project/settings.py .*\n(?!.*migrations)(.*\n)*TOTAL .* \d+%$", done.stdout, re.MULTILINE)
    assert (project / "var/coverage/index.html").exists() and not (project / ".coverage").exists()


ENDS = {"it dies": "", "it ends well": "trap 'exit 0' INT;", "it ends badly": "trap 'exit 2' INT;"}


@pytest.mark.parametrize(
    "part, reported, shell",
    [
        ("flake8", "it dies", "/bin/sh"),
        ("flake8", "it ends well", "/bin/bash"),  # after which bash continues
        ("migrations", "it ends well", "/bin/bash"),
        ("pytest", "it ends badly", "/bin/sh"),
    ],
)
def test_ctrl_c_ends_make_test(project, part, reported, shell):
    """No further part begins, whatever exit code the interrupted part has."""
    trap = ENDS[reported]
    stub(project, f'{trap} echo "$*" >>said; case "$*" in *"{STEPS[part]}"*) sleep 300 >&- 2>&- & wait;; esac')
    with running([*MAKE, project, "test", "ARGS=ours", "PYTEST_ARGS=-k mine", f"SHELL={shell}"]) as job:
        wait_until(lambda: (project / "said").exists() and STEPS[part] in (project / "said").read_text())
        signal_group(job, signal.SIGINT)
        assert job.wait(60)
        assert "failed" not in job.output()
    assert len((project / "said").read_text().splitlines()) == PARTS.index(part) + 1


DRIFT = ["python3", "-m", "slipway", "drift", "ve/bin/python", "manage.py"]


@pytest.mark.parametrize(
    "allowed, reported",
    [
        ("accounts", "migrations are missing"),
        ("count home", "migrations are missing"),
        ("home accounts other", "migrations are missing in accounts home: "),
    ],
)
def test_drift_that_is_allowed(project, allowed, reported):
    """Models without migrations fail unless all their apps are allowed; then one line reports them."""
    env = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "project.settings_test", "DRIFT_ALLOWED": allowed}
    done = run(DRIFT, cwd=project, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "models that agree are no news"
    put(project / "project/home/migrations/__init__.py")
    for app in ("accounts", "home"):
        append(
            project / f"project/{app}/models.py",
            "\n\nfrom django.db import models\n\n\nclass Late(models.Model):\n    pass\n",
        )
    done = run(DRIFT, cwd=project, env=env)
    assert reported in done.stdout + done.stderr, done.stdout + done.stderr
    if "accounts" in allowed and "home" in allowed:
        assert done.returncode == 0 and done.stdout.count("\n") == 1 and done.stderr == ""
    else:
        assert done.returncode == 1 and "Create model Late" in done.stdout
    append(project / "project/accounts/models.py", "\n\nnonsense\n")
    done = run(DRIFT, cwd=project, env=env)
    assert done.returncode == 1 and "'nonsense' is not defined" in done.stdout, "that is no drift"
    assert words_of(done) == "make: makemigrations failed, see above\n"


@pytest.mark.parametrize(
    "text, name",
    [
        ("main('acme')\n", "acme"),
        ('    main("acme")  # ours\n', "acme"),
        ("print()\n", "project"),
        ('os.environ.setdefault("DJANGO_SETTINGS_MODULE", "acme.settings")\n', "acme"),
    ],
)
def test_the_package_is_the_one_that_manage_py_names(project, text, name):
    """PROJECT from the environment is ignored, as it may be another program's; one on the command line counts."""
    (project / "manage.py").write_text(text)
    env = {"PATH": os.environ["PATH"], "PROJECT": "my-cloud-1"}
    for words, expected in ([], name), (["PROJECT=other"], "other"):
        done = run([*MAKE, project, "-s", "--eval=show: ; @echo $(CELERY_APP)", "show", *words], env=env)
        assert done.stdout == f"{expected}\n", done.stderr


def stub(project, line):
    """Create a virtualenv whose Python runs that line of shell, with the programs that make looks for."""
    (project / "ve").unlink()
    (project / "tests").mkdir()
    for name in ("python", "flake8", "ruff", "mypy", "shellcheck", "hadolint", "pytest"):
        executable(project / "ve/bin" / name, f"#!/bin/sh\n{line}\n")


def make(project, *words):
    return run([*MAKE, project, *words], env={"PATH": os.environ["PATH"], "HOME": str(project.parent)})
