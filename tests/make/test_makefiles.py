"""The .mk files: each stands alone, says what it does, and keeps to GNU Make 3.81 and POSIX tools."""

import os
import re
import shutil

import pytest

from proc import ROOT, run

FILES = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.mk"), *ROOT.glob("make/*.mk")]
               if path.name != "local.mk")
SHARED = [name for name in FILES if name != "make/template.mk"]  # which needs the others before it
INCLUDED = tuple(name for name in SHARED if "/" in name)

# What GNU Make 3.81 does not know, and what a stock macOS or dash lacks.
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
    """The lines of a makefile that are no comment."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def uses_of_forbidden(text):
    return [pattern for pattern in FORBIDDEN if re.search(pattern, code(text), re.MULTILINE)]


def phony(text):
    """The targets that a makefile declares phony, but FORCE."""
    lines = re.findall(r"^\.PHONY:((?:.*\\\n)*.*)$", text, re.MULTILINE)
    return {name for line in lines for name in line.replace("\\\n", " ").split()} - {"FORCE"}


def knobs(text):
    """Name → default of every variable that may be set."""
    return dict(re.findall(r"^(\w+)[ \t]*\?=[ \t]*(.*)$", text, re.MULTILINE))


@pytest.fixture
def copy(tmp_path):
    """The makefiles and what they ask for, in a folder without a virtualenv; dry runs only."""
    for name in ("make", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for path in [ROOT / "Makefile", *ROOT.glob("*.mk"), *ROOT.glob("requirements.*")]:
        shutil.copy(path, tmp_path)
    (tmp_path / "local.mk").unlink(missing_ok=True)
    return tmp_path


def dry_run(folder, *args):
    return run(["make", "-C", folder, "--warn-undefined-variables", "-n", *args])


@pytest.mark.parametrize("name", ["Makefile", *FILES])
def test_portable(name):
    """Nothing that GNU Make 3.81, dash or a stock macOS lacks."""
    assert uses_of_forbidden((ROOT / name).read_text()) == []


@pytest.mark.parametrize("name", SHARED)
def test_alone(copy, name):
    """Any .mk works as the only include: every variable and rule that its targets need is in it."""
    (copy / "Makefile").write_text(f"include {name}\n")
    done = dry_run(copy, *sorted(phony((copy / name).read_text()) or ["ve/sentinel-dev"]))
    assert done.returncode == 0 and "warning:" not in done.stderr, done.stderr


TYPED = [name for name in SHARED if "/" not in name]  # what a Makefile names; they include those of make/ themselves


@pytest.mark.parametrize("order", [[*INCLUDED, *TYPED], [*TYPED, *INCLUDED], [*TYPED[::-1], *INCLUDED]], ids=" ".join)
def test_in_any_order(copy, order):
    """All of them together, each before and after each other, without one overriding another."""
    (copy / "Makefile").write_text(f"include {' '.join(order)}\n")
    done = dry_run(copy, "help", "test", "clean")
    assert done.returncode == 0 and "warning:" not in done.stderr, done.stderr


def test_a_makefile_of_ones_own(copy):
    """One that only includes django.mk has test as its first target, or its own that comes before; local.mk need not
    exist, and is read last when it does."""
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
    ("", "no-such-target", "make: nothing here makes 'no-such-target': see make help\n"),
    ("mine: lost.txt ; @echo mine\n", "mine", "'lost.txt'"), ("include lost.mk\n", "help", "lost.mk")])
def test_what_is_missing_is_named(copy, text, target, said):
    """A target, with where to look; a file that a rule needs, not the target one typed; an include."""
    (copy / "Makefile").write_text(f"include django.mk\n{text}")
    done = run(["make", "-C", copy, "--no-print-directory", target])
    assert done.returncode == 2 and said in done.stderr, done.stderr


def test_help_lists_every_target(copy):
    """Every target one may type is in make help, once, in one line that fits a terminal."""
    (copy / "Makefile").write_text(f"include {' '.join(FILES)}\n")
    lines = run(["make", "-C", copy, "-s", "help"]).stdout.splitlines()
    targets = set().union(*(phony((copy / name).read_text()) for name in FILES))
    for target in targets:
        assert len([line for line in lines if re.match(rf"  {target}\s", line)]) == 1, target
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("name", FILES)
def test_every_variable_is_documented(name):
    """docs/make.md names every variable that may be set, with its default where that is a plain text."""
    tables = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", (ROOT / "docs/make.md").read_text(), re.MULTILINE))
    for variable, default in knobs((ROOT / name).read_text()).items():
        assert variable in tables, f"docs/make.md: {variable} of {name} is missing"
        if name == "django.mk" and not re.search(r"\$\((?!VE\))", default):
            assert tables[variable].strip("`") == default.replace("$(VE)", "ve"), f"docs/make.md: {variable}"


NEEDED = {"slipway/deploy/__main__.py", "slipway/envfile.py", "slipway/values.py", "slipway/lasting/files.py"}


@pytest.mark.parametrize("target, path", [*(("status", path) for path in sorted(NEEDED)),
                                          ("build", "docker/packages.txt")])
def test_what_is_taken_alone_names_what_it_needs(copy, target, path):
    """In a line, as where a service that is not Django takes files one by one."""
    for other in NEEDED - {path} | {"manage.py", "requirements.txt"}:
        (copy / other).parent.mkdir(parents=True, exist_ok=True)
        (copy / other).touch()
    done = run(["make", "-C", copy, "--no-print-directory", target])
    said = [line for line in done.stderr.splitlines() if "***" not in line]
    assert done.returncode == 2
    assert said == [f"make: no {path} here: take it from the template, see docs/make.md"]


@pytest.mark.parametrize("target", ["ve/sentinel", "lint", "wheelhouse", "push", "deploy", "template-update"])
def test_names_that_a_release_gave_up(copy, target):
    """Who still has one is told the new one, all at once, before anything is run, however they are set."""
    (copy / "Makefile").write_text(f"OLD_APP ?= shop\n{(ROOT / 'Makefile').read_text()}")
    words = ["make", "--no-print-directory", "-C", copy, target, "RENAMED=OLD_APP=APP OLD_PORT=PORT"]
    done = run(words, env={"PATH": os.environ["PATH"], "OLD_PORT": "8001", "OLD_PORTS": "1"})
    said = [line for line in done.stderr.splitlines() if "***" not in line]
    assert (done.returncode, done.stdout) == (2, "")
    assert said == ["make: OLD_APP is APP now: set that", "make: OLD_PORT is PORT now: set that"]


RUN_BY_THEM = set("PYTHON PYTEST MANAGE CELERY PIP_ARGS".split())  # programs; quoted
CANARY = ["x';touch canary;'", 'x";touch canary;"', "$(shell touch canary)", "`touch canary`", "x\ntouch canary"]
STUB = """#!/bin/sh
printf "[%s]" "${0##*/}" "$@" >>calls
[ ! -d "${ASSETS-}" ] || : >"$ASSETS/app.js"
[ "$1" != run ] || tar -cT /dev/null
"""
LONG = {"clean"}  # make clean would remove the stand-ins


def kinds():
    """The variables that make/ve.mk calls plain, and those it calls words."""
    text = (ROOT / "make/ve.mk").read_text().replace("\\\n", " ")
    return [re.search(rf"^{kind} = (.*)$", text, re.MULTILINE)[1].split() for kind in ("plain", "words")]


@pytest.fixture
def stubbed(copy, monkeypatch):
    """The makefiles where every program that they run, but for sh's own tools, is a stand-in."""
    for path in ["ve/bin/python", "ve/copier/bin/copier", "ve/bin/hadolint", "ve/bin/flake8", "ve/bin/mypy",
                 "node_modules/.bin/eslint", "var/audit/bin/python", "ve/companion/bin/python",
                 *(f"bin/{name}" for name in "docker docker-compose python3 node npm git uv shellcheck".split())]:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_text(STUB)
        (copy / path).chmod(0o755)
    for path in [*NEEDED, "Dockerfile", "docker/packages.txt", "package.json", "package-lock.json", "manage.py",
                 "project/celery.py", "companions/cbp/cbp/__main__.py"]:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).touch()
    (copy / "Makefile").write_text(f"include {' '.join(FILES)}\n")
    monkeypatch.setenv("PATH", f"{copy}/bin:{os.environ['PATH']}")
    return copy


def test_every_variable_is_data_or_a_program():
    """No variable that may be set is left unchecked."""
    plain, words = kinds()
    known = set().union(*(knobs((ROOT / name).read_text()) for name in ["Makefile", *FILES]))
    assert known - RUN_BY_THEM == set(plain + words) - {"PROJECT"}


def test_no_variable_breaks_out_of_a_recipe(stubbed):
    """Each target with each variable that its recipe uses, given what would end its quotes: nothing runs, and the line
    names the variable. What a target does not use is no matter to it."""
    plain, words = kinds()
    marked = [f"{name}=marked-{name}" for name in plain + words if name not in ("VE", "VE_AUDIT")]
    used = set()
    for target in sorted(set().union(*(phony((stubbed / name).read_text()) for name in FILES)) - LONG):
        shown = run(["make", "-C", stubbed, "-n", target, *marked]).stdout
        used |= {(target, name) for name in re.findall(r"marked-([A-Z_]+)", shown)}
    assert {("push", "TAG"), ("deploy", "ENV"), ("build", "IMAGE"), ("logs", "ARGS")} <= used and len(used) > 100
    for target, name in sorted(used - {("ports", "FLEET_HOSTS")}):  # it has its own
        for value in [";touch canary"] if name in words else CANARY if target == "push" else CANARY[:1]:
            done = run(["make", "-C", stubbed, target, f"{name}={value}"])
            assert not (stubbed / "canary").exists(), (target, name, value)
            assert done.returncode and f"make: {name} holds a character that" in done.stderr, (target, name)


def test_the_environment_breaks_out_no_more_than_the_command_line(stubbed):
    """As in CI. A target that does not use the variable runs, and the Makefile's own value is not asked about."""
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
    """ARGS are words of the shell: quotes hold them together, and nothing in quotes is acted upon."""
    done = run(["make", "-C", stubbed, "run", "HOST=web1", f"ARGS={typed}"])
    assert done.returncode == 0, done.stderr
    assert (stubbed / "calls").read_text().endswith("[run][web1][--]" + "".join(f"[{word}]" for word in words))


@pytest.mark.parametrize("typed", [
    ";touch canary", "a | touch canary", "a & touch canary", "a >canary", "(touch canary)", "'a' ; touch canary",
    '"$(touch canary)"', '"`touch canary`"', "it's", "a # b", "$$(touch canary)", 'a\\'])
def test_words_hold_no_commands(stubbed, typed):
    """What a shell would act upon outside of quotes, or in spite of them, is refused."""
    done = run(["make", "-C", stubbed, "logs", f"ARGS={typed}"])
    assert done.returncode and "make: ARGS holds a character that make or a shell acts upon" in done.stderr, typed
    assert not (stubbed / "canary").exists() and not (stubbed / "calls").exists()


def test_clean(scratch):
    """clean removes the virtualenv and caches; data, settings and a folder that is no virtualenv stay."""
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
