"""Tests of the .mk files: each works without the others, documents itself, and needs only GNU Make 3.81 and POSIX."""

import os
import re
import shutil

import pytest

from proc import ROOT, edit, executable, run

from slipway.make import package

FILES = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.mk"), ROOT / "tests/template.mk"]
               if path.name != "local.mk")
SHARED = [name for name in FILES if name != "tests/template.mk"]  # it needs the others before it

# Features that GNU Make 3.81, a stock macOS or dash lacks.
FORBIDDEN = r"""
\.ONESHELL          \.RECIPEPREFIX      \.SHELLFLAGS        \.EXTRA_PREREQS     \.WAIT\b            \.NOTINTERMEDIATE
^\s*[\w.-]+\s*!=    :::?=               \$\(file\b          \$\(intcmp\b        \$\(let\b           \$\(guile\b
^\s*undefine\b      ^\s*private\b       &:                  ^define\s+\S+\s*[:?+!]?=
\bflock\s           \btimeout\s+-?\d    \bsha\d+sum\b       \bmd5sum\b          \breadlink\s+-f     \brealpath\s
\bsed\s+(-\w+\s+)*-i                    \bgrep\s+-\w*P      \bdate\s+-d         \bcp\s+--           \bmktemp\s+--
\bxargs\s+-\w*r     \bsort\s+-\w*V      \bstat\s+-c         \bnproc\b           \btac\b             \bsetsid\b
\[\[                <\(                 \bfunction\s+\w+    \bpipefail\b        \becho\s+-[neE]     \$\$'
\bsource\s          &>                  <<<                 \bdeclare\s         \blocal\s+-         \bfind\s+-
""".split()


def code(text):
    """Return a makefile's lines without comments."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def phony(text):
    """Return the targets that a makefile declares phony, except FORCE."""
    lines = re.findall(r"^\.PHONY:((?:.*\\\n)*.*)$", text, re.MULTILINE)
    return {name for line in lines for name in line.replace("\\\n", " ").split()} - {"FORCE"}


def knobs(text):
    """Return {name: default} of every variable that users may set."""
    return dict(re.findall(r"^(\w+)[ \t]*\?=[ \t]*(.*)$", text, re.MULTILINE))


@pytest.fixture
def copy(tmp_path):
    """Return a folder with the makefiles and their needs, without a virtualenv; for dry runs only."""
    for name in ("slipway/make", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests/template.mk", tmp_path / "tests")
    for path in [ROOT / "Makefile", *ROOT.glob("*.mk"), *ROOT.glob("requirements.*")]:
        shutil.copy(path, tmp_path)
    (tmp_path / "local.mk").unlink(missing_ok=True)
    return tmp_path


def dry_run(folder, *args):
    return run(["make", "-C", folder, "--warn-undefined-variables", "-n", *args])


@pytest.mark.parametrize("name", ["Makefile", *FILES])
def test_portable(name):
    """The file uses nothing that GNU Make 3.81, dash or a stock macOS lacks."""
    text = code((ROOT / name).read_text())
    assert [pattern for pattern in FORBIDDEN if re.search(pattern, text, re.MULTILINE)] == []


@pytest.mark.parametrize("name", SHARED)
def test_alone(copy, name):
    """Any .mk works as the only include: it contains every variable and rule that its targets need."""
    (copy / "Makefile").write_text(f"include {name}\n")
    done = dry_run(copy, *sorted(phony((copy / name).read_text()) or ["ve/sentinel-dev"]))
    assert done.returncode == 0 and "warning:" not in done.stderr, done.stderr


@pytest.mark.parametrize("order", [SHARED, SHARED[::-1]], ids=" ".join)
def test_in_any_order(copy, order):
    """All files work together, in both orders, without one overriding another."""
    (copy / "Makefile").write_text(f"include {' '.join(order)}\n")
    done = dry_run(copy, "help", "test", "clean")
    assert done.returncode == 0 and "warning:" not in done.stderr, done.stderr


def test_a_makefile_of_ones_own(copy):
    """A Makefile that only includes django.mk has test as its first target, or its own target before the include.
    local.mk is optional, and is read last."""
    def made(text, *words):
        (copy / "Makefile").write_text(text)
        return run(["make", "-C", copy, "-s", *words])

    assert made("include django.mk\n", "-n").stdout == made("include django.mk\n", "-n", "test").stdout != ""
    assert made("mine: ; @echo mine\ninclude django.mk\n").stdout == "mine\n"
    done = made("include django.mk\n\n## Ours\nours: ## of this project\n", "help")
    assert done.stdout.startswith("\nDevelop:\n  help ") and done.stderr == ""
    assert done.stdout.endswith("\nOurs:\n  ours            of this project\n")
    (copy / "local.mk").write_text("mine: ; @echo $(PORT)\nPORT = 7\n")
    assert made((ROOT / "Makefile").read_text(), "mine").stdout == "7\n"


@pytest.mark.parametrize("text, target, said", [
    ("", "no-such-target", "make: there is no target 'no-such-target': see make help\n"),
    ("mine: lost.txt ; @echo mine\n", "mine", "'lost.txt'"), ("include lost.mk\n", "help", "lost.mk")])
def test_what_is_missing_is_named(copy, text, target, said):
    """The error names a missing target and where to look, a missing file instead of the target typed, or an include."""
    (copy / "Makefile").write_text(f"include django.mk\n{text}")
    done = run(["make", "-C", copy, "--no-print-directory", target])
    assert done.returncode == 2 and said in done.stderr, done.stderr


def test_help_lists_every_target(copy):
    """make help lists every target once, in one line that fits a terminal."""
    (copy / "Makefile").write_text(f"include {' '.join(FILES)}\n")
    lines = run(["make", "-C", copy, "-s", "help"]).stdout.splitlines()
    targets = set().union(*(phony((copy / name).read_text()) for name in FILES))
    for target in targets:
        assert len([line for line in lines if re.match(rf"  {target}\s", line)]) == 1, target
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("name", FILES)
def test_every_variable_is_documented(name):
    """docs/make.md names every variable that users may set, with its default if that is plain text."""
    tables = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", (ROOT / "docs/make.md").read_text(), re.MULTILINE))
    for variable, default in knobs((ROOT / name).read_text()).items():
        assert variable in tables, f"docs/make.md: {variable} of {name} is missing"
        if name == "django.mk" and not re.search(r"\$\((?!VE\))", default):
            assert tables[variable].strip("`") == default.replace("$(VE)", "ve"), f"docs/make.md: {variable}"


def said_in(copy, target):
    """Return the lines in which a target says why it fails."""
    done = run(["make", "-C", copy, "--no-print-directory", target])
    assert done.returncode == 2
    return done.stderr.splitlines()


def test_what_is_taken_alone_names_what_it_needs(copy):
    for path in ("manage.py", "requirements.txt"):
        (copy / path).touch()
    assert "make: no docker/packages.txt here: take it from the template" in said_in(copy, "build")[0]
    shutil.rmtree(copy / "slipway")
    assert "make: no slipway here, neither vendor/slipway_django-*.whl nor its source" in said_in(copy, "status")[0]


def test_mk_files_of_another_release(copy):
    edit(copy / "ve.mk", "SLIPWAY_RULES = 1", "SLIPWAY_RULES = 0")
    assert "are of different releases: " in said_in(copy, "status")[0]
    assert "no .copier-answers.yml here" in said_in(copy, "slipway-diff")[0]


def test_a_wheel_that_git_has_damaged(copy):
    """Every target names it, with the cure, where Python would only say that it cannot open a file."""
    wheel = package.write(ROOT, copy / "vendor")
    wheel.write_bytes(wheel.read_bytes()[:100] + wheel.read_bytes()[101:])
    for target in ("status", "test"):
        [line] = said_in(copy, target)[:1]
        assert f"{wheel.name} is damaged" in line and "docs/update.md" in line


def test_of_two_wheels_none_is_taken(copy):
    (copy / "vendor").mkdir()
    names = [f"vendor/slipway_django-1.{number}.0-py3-none-any.whl" for number in (1, 2)]
    for name in names:
        (copy / name).touch()
    [line] = said_in(copy, "status")
    assert all(name in line for name in names) and "requirements.txt" in line


RUN_BY_THEM = set("PYTHON PYTEST MANAGE CELERY PIP_ARGS".split())  # programs, which are quoted
CANARY = ["x';touch canary;'", 'x";touch canary;"', "$(shell touch canary)", "`touch canary`", "x\ntouch canary"]
STUB = """#!/bin/sh
printf "[%s]" "${0##*/}" "$@" >>calls
[ ! -d "${ASSETS-}" ] || : >"$ASSETS/app.js"
[ "$1" != run ] || tar -cT /dev/null
"""
LONG = {"clean"}  # make clean would remove the stand-ins


def kinds():
    """Return the names of the variables that ve.mk lists as plain, and as words."""
    text = (ROOT / "ve.mk").read_text().replace("\\\n", " ")
    return [re.search(rf"^{kind} = (.*)$", text, re.MULTILINE)[1].split() for kind in ("plain", "words")]


@pytest.fixture
def stubbed(copy, monkeypatch):
    """Return the makefiles with stand-ins for every program that they run, except sh's own tools."""
    for path in ["ve/bin/python", "ve/copier/bin/copier", "ve/bin/hadolint", "ve/bin/flake8", "ve/bin/mypy",
                 "node_modules/.bin/eslint", "var/audit/bin/python", "ve/companion/bin/python",
                 *(f"bin/{name}" for name in "docker docker-compose python3 node npm git uv shellcheck".split())]:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        executable(copy / path, STUB)
    for path in ["Dockerfile", "docker/packages.txt",
                 "package.json", "package-lock.json", "manage.py",
                 "project/celery.py", "examples/companions/cbp/cbp/__main__.py"]:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).touch()
    (copy / "Makefile").write_text(f"include {' '.join(FILES)}\n")
    monkeypatch.setenv("PATH", f"{copy}/bin:{os.environ['PATH']}")
    return copy


def test_every_variable_is_data_or_a_program():
    """Every variable that users may set is checked."""
    plain, words = kinds()
    known = set().union(*(knobs((ROOT / name).read_text()) for name in ["Makefile", *FILES]))
    assert known - RUN_BY_THEM == set(plain + words) - {"PROJECT", "ASSETS", "SHELL_FILES", "DOCKERFILES"}


def test_no_variable_breaks_out_of_a_recipe(stubbed):
    """If a variable that a target's recipe uses contains the end of its quotes, nothing runs, and the error names the
    variable. Variables that the target does not use are ignored."""
    plain, words = kinds()
    marked = [f"{name}=marked-{name}" for name in plain + words if name not in ("VE", "VE_AUDIT", "SLIPWAY")]
    used = set()
    for target in sorted(set().union(*(phony((stubbed / name).read_text()) for name in FILES)) - LONG):
        shown = run(["make", "-C", stubbed, "-n", target, *marked]).stdout
        used |= {(target, name) for name in re.findall(r"marked-([A-Z_]+)", shown)}
    assert {("push", "TAG"), ("deploy", "ENV"), ("build", "IMAGE"), ("logs", "ARGS")} <= used and len(used) > 100
    for target, name in sorted(used - {("ports", "FLEET_HOSTS"), ("benchmark", "FLEET_HOSTS")}):  # these have their own
        for value in [";touch canary"] if name in words else CANARY if target == "push" else CANARY[:1]:
            done = run(["make", "-C", stubbed, target, f"{name}={value}"])
            assert not (stubbed / "canary").exists(), (target, name, value)
            assert done.returncode and f"make: {name} holds a character that" in done.stderr, (target, name)


def test_the_environment_breaks_out_no_more_than_the_command_line(stubbed):
    """Bad values are refused too, as in CI, unless the target does not use the variable or the Makefile sets it."""
    for value in CANARY:
        env = {**os.environ, "TAG": value, "ARGS": value}
        done = run(["make", "-C", stubbed, "deploy"], env=env)
        assert done.returncode and "holds a character that make or a shell acts upon" in done.stderr
        assert run(["make", "-C", stubbed, "status", "ARGS=--json"], env=env).returncode == 0
    (stubbed / "Makefile").write_text("TAG = $(shell echo mine)\nARGS =\ninclude deploy.mk\n")
    assert run(["make", "-C", stubbed, "deploy"], env=env).returncode == 0
    assert "[deploy][mine]" in (stubbed / "calls").read_text() and not (stubbed / "canary").exists()


@pytest.mark.parametrize("typed, words", [
    ("-f --role worker --since '1 hour ago'", ["-f", "--role", "worker", "--since", "1 hour ago"]),
    ("shell -c \"print('a;b'); f(\\\"|&\\\")\" a\\ b", ["shell", "-c", "print('a;b'); f(\"|&\")", "a b"]),
    ("list", ["list"]), ("set-file NAME päth/*.pem", ["set-file", "NAME", "päth/*.pem"])])
def test_words_arrive_as_typed(stubbed, typed, words):
    """ARGS are words of the shell: quotes keep words together, and nothing in quotes is executed."""
    done = run(["make", "-C", stubbed, "run", "HOST=web1", f"ARGS={typed}"])
    assert done.returncode == 0, done.stderr
    assert (stubbed / "calls").read_text().endswith("[run][web1][--]" + "".join(f"[{word}]" for word in words))


@pytest.mark.parametrize("typed", [
    ";touch canary", "a | touch canary", "a & touch canary", "a >canary", "(touch canary)", "'a' ; touch canary",
    '"$(touch canary)"', '"`touch canary`"', "it's", "a # b", "$$(touch canary)", 'a\\'])
def test_words_hold_no_commands(stubbed, typed):
    """Characters on which a shell acts outside of quotes, or in spite of them, are refused."""
    done = run(["make", "-C", stubbed, "logs", f"ARGS={typed}"])
    assert done.returncode and "make: ARGS holds a character that make or a shell acts upon" in done.stderr, typed
    assert not (stubbed / "canary").exists() and not (stubbed / "calls").exists()


def test_clean(scratch):
    """clean removes the virtualenv and caches. Data, settings and a folder that is no virtualenv stay."""
    scratch.made()
    folder = scratch.folder
    kept = ["var/db.sqlite3", "var/__pycache__/data", ".env", "project/a.py"]
    for path in [*kept, "project/__pycache__/a.pyc", "tests/.pytest_cache/x", ".mypy_cache/x"]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    scratch.made("clean")
    assert all((folder / path).exists() for path in kept)
    assert not any((folder / path).exists() for path in
                   ["ve", "ve.lock", "project/__pycache__", "tests/.pytest_cache", ".mypy_cache"])
    (folder / "ve").mkdir()
    scratch.made("clean")
    assert (folder / "ve").exists()
