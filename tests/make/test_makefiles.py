"""Tests of the .mk files: each works without the others, documents itself, and needs only GNU Make 3.81 and POSIX."""

import itertools
import os
import re
import shutil

import pytest

from checkout import WRITTEN
from proc import ROOT, VE_PYTHON, executable, output, put, refusal, run

FILES = sorted(
    str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.mk"), ROOT / "tests/template.mk"] if path.name != "local.mk"
)
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
    for name in ("slipway", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=WRITTEN)
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests/template.mk", tmp_path / "tests")
    for path in [ROOT / "Makefile", *ROOT.glob("*.mk"), *ROOT.glob("requirements.*")]:
        shutil.copy(path, tmp_path)
    (tmp_path / "local.mk").unlink(missing_ok=True)
    return tmp_path


@pytest.mark.parametrize("name", ["Makefile", *FILES])
def test_portable(name):
    """The file uses nothing that GNU Make 3.81, dash or a stock macOS lacks."""
    text = "\n".join(line for line in (ROOT / name).read_text().splitlines() if not line.lstrip().startswith("#"))
    assert [pattern for pattern in FORBIDDEN if re.search(pattern, text, re.MULTILINE)] == []


@pytest.mark.parametrize("names", [*([name] for name in SHARED), SHARED, SHARED[::-1]], ids=" ".join)
def test_alone_and_in_any_order(copy, names):
    """Any .mk works as the only include: it contains every variable and rule that its targets need. All work together,
    in both orders, without one overriding another."""
    (copy / "Makefile").write_text(f"include {' '.join(names)}\n")
    targets = set().union(*(phony((copy / name).read_text()) for name in names)) or ["ve/sentinel-dev"]
    done = run(["make", "-C", copy, "--warn-undefined-variables", "-n", *sorted(targets)])
    assert done.returncode == 0 and "warning:" not in done.stderr, done.stderr


@pytest.mark.parametrize("size", [1, 2])
def test_the_goal_of_make_alone(copy, size):
    """`make` runs all tests if django.mk is among the .mk files, wherever; else it lists the targets. A target or goal
    of the Makefile's own, before them, precedes both."""
    shutil.copy(ROOT / "examples/frontend/node.mk", copy)

    def goal(text):
        (copy / "Makefile").write_text(text)
        lines = run(["make", "-C", copy, "-pn"]).stdout.splitlines()
        (goal,) = (line.partition(" := ")[2] for line in lines if line.startswith(".DEFAULT_GOAL :="))
        return goal

    for names in itertools.permutations(["django.mk", "docker.mk", "deploy.mk", "node.mk", "ve.mk"], size):
        if names != ("ve.mk",):
            expected = "test" if "django.mk" in names else "help-by-default"
            assert goal(f"include {' '.join(names)}\n") == expected, names
        assert goal(f"mine: ; @echo mine\ninclude {' '.join(names)}\n") == "mine", names
        assert goal(f".DEFAULT_GOAL := help\ninclude {' '.join(names)}\n") == "help", names
    assert goal("include *.mk\n") == "test"
    assert goal("include ve.mk\nmine: ; @echo mine\ninclude deploy.mk\n") == "mine"
    (copy / "Makefile").write_text("include deploy.mk\n")
    assert output(["make", "-s", "-C", copy]).startswith("\nDevelop:\n  help            show this list\n\nOperate:\n")


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


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("words, env", [(["-j4"], {}), ([], {"MAKEFLAGS": "-j4"})], ids=["typed", "in MAKEFLAGS"])
def test_goals_keep_their_order(copy, name, words, env):
    """Of targets given together, each is done before the next begins, as `push` must not push before `build` is done.
    This holds for targets of a Makefile that includes any .mk file, too."""
    (copy / "Makefile").write_text(f"include {name}\nfirst: ; @sleep 0.3; echo first\nsecond: ; @echo second\n")
    done = run(["make", "-C", copy, "-s", *words, "first", "second"], env={**os.environ, **env})
    assert done.stdout == "first\nsecond\n", done.stderr


@pytest.mark.parametrize(
    "text, target, message",
    [
        ("", "no-such-target", "make: there is no target 'no-such-target': see make help\n"),
        ("mine: lost.txt ; @echo mine\n", "mine", "'lost.txt'"),
        ("include lost.mk\n", "help", "lost.mk"),
    ],
)
def test_what_is_missing_is_named(copy, text, target, message):
    """The error names a missing target and where to look, a missing file instead of the target typed, or an include."""
    (copy / "Makefile").write_text(f"include django.mk\n{text}")
    done = run(["make", "-C", copy, "--no-print-directory", target])
    assert done.returncode == 2 and message in done.stderr, done.stderr


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
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.*?) \|", (ROOT / "docs/make.md").read_text(), re.MULTILINE)
    tables = {name.strip("`"): default for names, default in rows for name in names.split(", ")}
    for variable, default in knobs((ROOT / name).read_text()).items():
        assert variable in tables, f"docs/make.md: {variable} of {name} is missing"
        if name == "django.mk" and not re.search(r"\$\((?!VE\))", default):
            assert tables[variable].strip("`") == default.replace("$(VE)", "ve"), f"docs/make.md: {variable}"


def test_what_is_taken_alone_names_what_it_needs(copy):
    for path in ("manage.py", "requirements.txt"):
        (copy / path).touch()
    line = refusal(run(["make", "-C", copy, "build"]))
    assert "make: docker/packages.txt: No such file or directory: take it" in line
    shutil.rmtree(copy / "slipway")
    line = refusal(run(["make", "-C", copy, "status"]))
    assert "make: no slipway here, neither vendor/slipway_django-*.whl nor its source" in line


def test_of_two_wheels_none_is_taken(copy):
    names = [f"vendor/slipway_django-1.{number}.0-py3-none-any.whl" for number in (1, 2)]
    for name in names:
        put(copy / name)
    line = refusal(run(["make", "-C", copy, "status"]))
    assert all(name in line for name in names) and "requirements.txt" in line


PROGRAMS = set("PYTHON PYTEST MANAGE CELERY MYPY RUFF".split())  # whoever sets them may run anything
PATHS = set("VE REQUIREMENTS REQUIREMENTS_DEV SLIPWAY".split())  # they stand in rules
CANARY = [
    "x';touch canary;'",
    'x";touch canary;"',
    "$(shell touch canary)",
    "`touch canary`",
    "x\ntouch canary",
    "$$(touch canary)",
]
STUB = """#!/bin/sh
printf "[%s]" "${0##*/}" "$@" >>calls
[ ! -d "${ASSETS-}" ] || : >"$ASSETS/app.js"
"""


@pytest.fixture
def stubbed(copy, monkeypatch):
    """Return the makefiles with stand-ins for every program that they run, except sh's own tools."""
    for path in [
        "ve/bin/python",
        "ve/copier/bin/copier",
        "node_modules/.bin/eslint",
        "ve/companion/bin/python",
        *(f"bin/{name}" for name in "docker python3 node npm".split()),
    ]:
        executable(copy / path, STUB)
    for path in ["package.json", "package-lock.json", "manage.py"]:
        put(copy / path)
    (copy / "Makefile").write_text(f"include {' '.join(FILES)}\n")
    monkeypatch.setenv("PATH", f"{copy}/bin:{os.environ['PATH']}")
    return copy


@pytest.mark.parametrize("value", CANARY)
def test_no_value_is_run(stubbed, value):
    """A value of the command line or the environment is text, whatever it holds: neither make nor a shell acts upon
    it, in any target."""
    values = dict.fromkeys(set().union(*(knobs((stubbed / name).read_text()) for name in FILES)), value)
    given = [f"{name}={value}" for name in values.keys() - PROGRAMS - PATHS]
    assert {"TAG=" + value, "ENV=" + value, "IMAGE=" + value, "ARGS=" + value} < {*given}
    for target in sorted(set().union(*(phony((stubbed / name).read_text()) for name in FILES))):
        for words, env in (given, {}), ([], {name: values[name] for name in values.keys() - PROGRAMS - PATHS}):
            run(["make", "-C", stubbed, "-i", target, *words], env={**os.environ, **env})
            assert not (stubbed / "canary").exists(), (target, words)
    if "\n" not in value:
        assert f"[deploy][{value}]" in (stubbed / "calls").read_text()


def test_a_value_is_one_line(stubbed):
    """make would run the second line as a command of its own."""
    done = run(["make", "-C", stubbed, "deploy", "TAG=x\ntouch canary\n"])
    assert done.returncode == 2 and "make: TAG must be one line.  Stop." in done.stderr
    assert not (stubbed / "canary").exists() and not (stubbed / "calls").exists()


def test_provisioning_gets_the_installer_s_variables(copy):
    """It makes a virtualenv; other commands of the deployer do not."""
    (copy / "Makefile").write_text("PIP_ARGS = --no-index\ninclude deploy.mk\n")
    for target, given in (("provision", True), ("drain", True), ("status", False)):
        assert ("PIP_ARGS='--no-index'" in output(["make", "-C", copy, "-n", target])) is given, target


@pytest.mark.parametrize("value", ["build-1", "it's $HOME; `id`", 'a\\ "b"'])
def test_what_make_would_run_can_be_run(stubbed, value):
    """`make -n` prints a line that does the same as make, for whoever types it. It does not end their shell."""
    words = ["make", "-s", "-C", stubbed, "deploy", f"TAG={value}", "ARGS=--parallel '2 '", "ENV=staging"]
    output([*words])
    line = output([*words, "-n"])
    assert "ENV='staging'" in line and run(["sh", "-c", f"{line}\necho on"], cwd=stubbed).stdout == "on\n"
    first, second = (stubbed / "calls").read_text().split("[python3]")[1:]
    assert first == second and first.endswith(f"[deploy][{value}][{{ARGS}}]")


@pytest.mark.parametrize("name", sorted(PATHS))
def test_a_path_that_stands_in_rules_is_plain(stubbed, name):
    for value in [*CANARY, "a b", "a:b"]:
        done = run(["make", "-C", stubbed, "status", f"{name}={value}"])
        assert done.returncode == 2 and f"make: {name} " in done.stderr and not (stubbed / "canary").exists(), value


def test_a_makefile_s_own_values_are_make_s(stubbed):
    """make expands a value that the Makefile sets, and prefers it to the environment's."""
    (stubbed / "Makefile").write_text("TAG = $(shell echo mine)\nARGS =\ninclude deploy.mk\n")
    done = run(["make", "-C", stubbed, "deploy"], env={**os.environ, "TAG": "theirs"})
    assert done.returncode == 0 and (stubbed / "calls").read_text().endswith("[deploy][mine]")


def test_a_value_reaches_its_own_recipe_only(stubbed):
    """An environment variable of one target's command does not reach the next target's."""
    (stubbed / "Makefile").write_text(
        "IMAGE = theirs\ninclude django.mk docker.mk\nnamed: ; @$(call with,PORT) sh -c 'echo [$$IMAGE$$PORT]'\n"
    )
    done = run(["make", "-s", "-C", stubbed, "wheelhouse", "named"])
    assert done.stdout == "[8000]\n", done.stderr


def test_nothing_is_asked_in_vain(stubbed):
    """make help runs neither git nor docker for the values of TAG and REVISION."""
    for name in ("git", "docker"):
        executable(stubbed / "bin" / name, STUB)
    assert run(["make", "-C", stubbed, "help"]).returncode == 0 and not (stubbed / "calls").exists()


@pytest.mark.parametrize(
    "typed, words",
    [
        ("-f --role worker --since '1 hour ago'", ["-f", "--role", "worker", "--since", "1 hour ago"]),
        ('shell -c "print(\'a;b\'); f(\\"|&\\")" a\\ b', ["shell", "-c", "print('a;b'); f(\"|&\")", "a b"]),
        ("", []),
        ("set-file NAME päth/*.pem", ["set-file", "NAME", "päth/*.pem"]),
        (";touch canary | a >canary & (b)", [";touch", "canary", "|", "a", ">canary", "&", "(b)"]),
        ('"$(touch canary)" `touch canary` $HOME # x', ["$(touch canary)", "`touch", "canary`", "$HOME", "#", "x"]),
    ],
)
def test_words_arrive_as_typed(stubbed, typed, words):
    """ARGS are words as a shell would split them: quotes keep words together, and nothing is executed."""
    words_typed = ["-o", "ve/sentinel", "shell", f"ARGS={typed}", f"PYTHON={VE_PYTHON}", "MANAGE=docker"]
    output(["make", "-C", stubbed, *words_typed])
    assert (stubbed / "calls").read_text().endswith("[docker][shell]" + "".join(f"[{word}]" for word in words))
    assert not (stubbed / "canary").exists()


def test_words_that_have_no_end(stubbed):
    done = run(["make", "-C", stubbed, "-o", "ve/sentinel", "migrate", "ARGS=it's", f"PYTHON={VE_PYTHON}"])
    assert refusal(done) == "make: ARGS: No closing quotation"


def test_clean(scratch):
    """clean removes the virtualenv and caches. Data, settings and a folder that is no virtualenv stay."""
    scratch.made()
    folder = scratch.folder
    kept = ["var/db.sqlite3", "var/__pycache__/data", ".env", "project/a.py"]
    for path in [*kept, "project/__pycache__/a.pyc", "tests/.pytest_cache/x", ".mypy_cache/x"]:
        put(folder / path)
    scratch.made("clean")
    assert all((folder / path).exists() for path in kept)
    assert not any(
        (folder / path).exists()
        for path in ["ve", "ve.lock", "project/__pycache__", "tests/.pytest_cache", ".mypy_cache"]
    )
    (folder / "ve").mkdir()
    scratch.made("clean")
    assert (folder / "ve").exists()
