"""Tests of the virtualenv: the real make creates it, remakes it or leaves it unchanged.

They use uv, and also pip if pip's own behaviour matters.
"""

import os
import shutil
import signal

import pytest

import wheels
from proc import append, executable, put, refusal, run, running, signal_group, wait_until

from .conftest import BASE_PYTHON, WITH_PIP_TOO

NOWHERE = "nowhere==1.0 --hash=sha256:" + "0" * 64 + "\n"


def slow_install(scratch, target="ve/sentinel"):
    """Run a make that stops in the middle of an install until `let_go`."""
    scratch.pin("requirements.txt" if target == "ve/sentinel" else "requirements/dev.txt", "slow-1.0")
    return running(scratch.command(target), env=scratch.env)


def in_the_middle(scratch):
    wait_until(lambda: os.path.exists(scratch.env["SLOW_STARTED"]), what="the installer is at work")


@WITH_PIP_TOO
def test_installs_what_is_pinned_and_nothing_when_asked_again(scratch):
    """A fresh checkout gets its pins. The next make prints and installs nothing, and starts no Python. After a touch
    pins are installed again, which changes nothing."""
    calls = scratch.folder.parent / "calls"
    scratch.env["PYTHON"] = str(
        executable(scratch.folder.parent / "python", f'#!/bin/sh\necho called >>"{calls}"\nexec "{BASE_PYTHON}" "$@"\n')
    )
    assert scratch.made() == "make: installing requirements.txt\n"  # by the requested installer
    assert scratch.has("tiny", "extra") == ["1.0", "None"]
    calls.unlink()
    assert scratch.made() == "" and not calls.exists()
    os.utime(scratch.folder / "requirements.txt")
    assert scratch.made() == "make: installing requirements.txt\n" and scratch.made() == ""
    assert scratch.has("tiny", "extra") == ["1.0", "None"]


def test_who_types_pip(scratch):
    """In the activated virtualenv, and as in Django's own hints, pip prints one line and installs nothing; it shows
    what is installed. If a project pins pip, it is installed like any package."""

    def type_it(typed):
        return run(["sh", "-c", f". ve/bin/activate && {typed}"], cwd=scratch.folder, env=scratch.env)

    scratch.folder = scratch.folder.rename(scratch.folder.parent / "a copy")  # activate fails if its path has quotes
    scratch.made()
    scratch.env["PIP_NO_INDEX"] = "1"  # no pip may install anything here
    for typed in ("pip", "pip3", "python -m pip", "pip --timeout 5 --proxy http://x"):
        done = type_it(f"{typed} install Pillow")
        assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
        assert all(word in done.stderr for word in ("uv add Pillow", "requirements.txt")), done.stderr
    for typed, shown in ("python -m pip --version", "pip "), ("pip show tiny", "Name: tiny\n"), ("pip list", "\ntiny "):
        assert shown in type_it(typed).stdout, typed
    wheels.wheel(
        scratch.packages["folder"],
        "pip",
        "99.0",
        {
            "pip/__init__.py": "",
            "pip/__main__.py": "print('real')",
            "pip-99.0.data/scripts/pip": "#!python\nprint('real')\n",
        },
    )
    (scratch.folder / "requirements.txt").write_text("pip==99.0\n")
    scratch.made()
    assert [type_it(typed).stdout for typed in ("pip", "python -m pip")] == ["real\n"] * 2


def test_development(scratch):
    """sentinel-dev stands for both files. If sentinel exists, it is left unchanged, even on failure. Packages no longer
    pinned for development are removed, even if production's pins did not change."""
    scratch.made()
    assert "requirements.txt" not in scratch.made("ve/sentinel-dev")
    assert scratch.has("tiny", "extra") == ["1.0", "1.0"] and scratch.sentinels() == ["sentinel", "sentinel-dev"]
    (scratch.folder / "requirements/dev.txt").write_text(NOWHERE)
    assert scratch.make("ve/sentinel-dev").returncode and scratch.made() == ""
    scratch.pin("requirements/dev.txt", "extra-1.0")
    assert "requirements.txt" not in scratch.made("ve/sentinel-dev")
    scratch.pin("requirements/dev.txt")
    scratch.made("ve/sentinel-dev")
    assert scratch.has("tiny", "extra") == ["1.0", "None"]


PYPROJECT = """[project]
dependencies = ["debug-toolbars"]

[dependency-groups]
dev = [
    "flake8>=7",
    "django-debug-toolbar>=4",
]

[tool.ruff]
"""


@pytest.mark.parametrize(
    "setting, dev",
    [("'debug_toolbar'", True), ('"debug_toolbar.apps"', True), ('"debug_toolbars"', False), ("debug_toolbar", False)],
)
@pytest.mark.parametrize("listed", ["requirements/dev.in", "pyproject.toml"])
def test_settings_that_name_a_package_of_development(scratch, setting, dev, listed):
    """A package that settings name is installed where Django starts, also if its name begins with django-."""
    put(scratch.folder / "project/settings.py", f"INSTALLED_APPS.append({setting})\n")
    if listed == "requirements/dev.in":
        put(scratch.folder / listed, "# tools\n\nflake8\ndjango-debug-toolbar>=4  # ours\n")
    else:
        put(scratch.folder / listed, PYPROJECT)
    for target in ("runserver", "worker", "migrate", "migrations", "check"):
        assert ("virtualenv ve/sentinel-dev" in scratch.make("-n", target).stdout) == dev


@pytest.mark.parametrize("installer, helper", [("uv", False), ("uv", True), ("pip", True)], indirect=["installer"])
def test_killed_make_leaves_its_installer_the_lock(scratch, helper):
    """If make or its helper is killed, the installer continues, and the next make waits for it, because the installer
    itself holds the lock."""
    with slow_install(scratch) as first:
        in_the_middle(scratch)
        children = run(["pgrep", "-g", str(first.pid), "-f", "slipway virtualenv"]).stdout.split()
        assert len(children) >= 1
        for pid in [first.pid, *map(int, children if helper else [])]:
            os.kill(pid, signal.SIGKILL)
        with running(scratch.command("ve/sentinel"), env=scratch.env) as second:
            wait_until(lambda: "waiting for another make" in second.output(), what="the second make waits")
            assert scratch.sentinels() == [] and second.poll() is None
            open(scratch.env["SLOW_MAY_GO_ON"], "w").close()
            assert second.wait(60) == 0
            assert helper or "installing requirements" not in second.output(), "what it waited for is done"
    assert scratch.sentinels() == ["sentinel"] and scratch.made() == ""


def test_what_a_killed_installer_left_is_not_trusted(scratch):
    """kill -9 of the whole process group during an install leaves no sentinel. A package that is half installed, as its
    metadata came first, is installed again."""
    scratch.made()
    with slow_install(scratch, "ve/sentinel-dev") as make:
        in_the_middle(scratch)
        half = next((scratch.folder / "ve/lib").glob("python*/site-packages")) / "extra-1.0.dist-info"
        put(half / "METADATA", "Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
        signal_group(make, signal.SIGKILL)
        make.wait(10)
    assert scratch.sentinels() == ["sentinel"]
    scratch.pin("requirements/dev.txt", "extra-1.0")
    scratch.made("ve/sentinel-dev")
    assert scratch.has("extra") == ["1.0"]


def test_changed_pins(scratch):
    """A changed pin is installed and an unpinned package removed, also on a change back, as between branches. A failed
    install leaves no sentinel. Hashes are optional."""
    scratch.pin("requirements.txt", "tiny-1.0", "extra-1.0")
    scratch.made()
    scratch.pin("requirements.txt", "tiny-2.0")
    scratch.made()
    assert scratch.has("tiny", "extra") == ["2.0", "None"]
    (scratch.folder / "requirements.txt").write_text(NOWHERE)
    done = scratch.make("ve/sentinel")
    assert done.returncode and scratch.sentinels() == [] and "nowhere" in done.stderr
    (scratch.folder / "requirements.txt").write_text("tiny==1.0\n")
    scratch.made()
    assert scratch.has("tiny") == ["1.0"]


def test_another_folder(scratch):
    """A copied checkout gets its own virtualenv, and the first one keeps its own, with files of its own: an edit in one
    is in no other. In a moved checkout it is remade, without references to the old path."""
    scratch.made()
    append(next((scratch.folder / "ve").glob("lib/python*/site-packages/tiny.py")), "\nversion = 'edited'\n")
    first, scratch.folder = scratch.folder, scratch.folder.parent / "copy"
    shutil.copytree(first, scratch.folder, symlinks=True)
    assert "installing" in scratch.made() and scratch.has("tiny") == ["1.0"]
    scratch.folder = first
    assert scratch.made() == ""
    scratch.folder = first.rename(first.parent / "moved")
    assert "installing" in scratch.made() and scratch.has("tiny") == ["1.0"]
    assert "scratch" not in (scratch.folder / "ve/pyvenv.cfg").read_text()


def test_another_interpreter(scratch):
    """A link such as python3 may change its target: the virtualenv names the target of now. If that is removed, for
    example by an upgrade, the next make uses the new one."""
    link = scratch.folder.parent / "my python"
    link.symlink_to(scratch.env["PYTHON"])
    scratch.made("ve/sentinel", f"PYTHON={link}")
    link.unlink()
    assert scratch.has("tiny") == ["1.0"]
    python = scratch.folder / "ve/bin/python"
    python.unlink()
    python.symlink_to("/nowhere/python3.11")
    assert "installing" in scratch.made() and scratch.has("tiny") == ["1.0"]


STOP = """import os, signal, sys
moment = os.environ.get("STOP_AT", "0")  # at the change of this number, or at the first one after this file's removal
left = int(moment) if moment.isdigit() else 0

def stop(event, args):
    global left
    if event in ("os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if event == "os.remove" and os.path.basename(args[0]) == moment:
            left = 1

if moment != "0":
    sys.addaudithook(stop)
"""


@pytest.mark.parametrize(
    "target, made", [("ve/sentinel", "here"), ("ve/sentinel", ""), ("clean", "here"), ("clean", "in another order")]
)  # of creation, in which tmpfs lists files
def test_interrupted_at_any_moment(scratch, target, made):
    """Whenever the making, the re-creation or the removal of a virtualenv is interrupted, the next make makes it."""
    scratch.env["PYTHONPATH"] = str(put(scratch.folder.parent / "site/sitecustomize.py", STOP).parent)
    codes = []
    for moment in (2, 3, 5, 8, 13, 40, "pyvenv.cfg"):
        shutil.rmtree(scratch.folder / "ve", ignore_errors=True)
        if made:
            scratch.made()
            (scratch.folder / "ve/made-for").write_text("another Python")
        if made == "in another order":
            configuration = (scratch.folder / "ve/pyvenv.cfg").read_text()
            (scratch.folder / "ve/pyvenv.cfg").unlink()
            put(scratch.folder / "ve/pyvenv.cfg", configuration)
        codes.append(scratch.make(target, env={**scratch.env, "STOP_AT": str(moment)}).returncode)
        scratch.made()
        assert scratch.has("tiny") == ["1.0"]
    assert codes[0], "it was interrupted"


@WITH_PIP_TOO
def test_in_its_own_activated_virtualenv(scratch):
    """PYTHON may be the virtualenv's own python: a new virtualenv is made by the Python that it stands for, and filled
    by a real pip."""
    scratch.made()
    scratch.env["PATH"] = f"{scratch.folder}/ve/bin:{scratch.env['PATH']}"
    assert "installing" in scratch.made("ve/sentinel", "PYTHON=python3") and scratch.has("tiny") == ["1.0"]
    assert scratch.made("ve/sentinel", "PYTHON=python3") == ""


def test_many_targets_at_once(scratch):
    """make -j8 of targets that all need a virtualenv makes one, once. A rule may name a program of the virtualenv."""
    for name in ("one", "two", "three"):
        append(
            scratch.folder / "Makefile",
            f"{name}: $(VE)/sentinel $(VE)/sentinel-dev\n\t@$(VE)/bin/python -c 'import tiny, extra'\n",
        )
    append(scratch.folder / "Makefile", "four: $(VE)/bin/python ; @$< -c ''\nfive: $(VE)/bin/nothing ; @$<\n")
    said = scratch.made("-j8", "one", "two", "three", "four", "ve/sentinel")
    assert "no ve/bin/nothing here: add its package, see" in refusal(scratch.make("five"))
    assert said.count("installing requirements.txt") == said.count("installing requirements/dev.txt") == 1


def test_copier_has_its_own(scratch):
    """copier's packages are separate from the project's. They are reinstalled with a new virtualenv of the project."""
    scratch.pin("requirements/copier.txt", "tiny-2.0")
    folder = scratch.folder
    assert scratch.made("ve/copier/sentinel").splitlines() == [
        "make: installing requirements.txt",
        "make: installing requirements/copier.txt",
    ]
    done = run([folder / "ve/copier/bin/python", "-c", "import tiny; print(tiny.version)"])
    assert scratch.has("tiny") == ["1.0"] and done.stdout == "2.0\n", done.stderr
    assert scratch.made("ve/copier/sentinel") == ""
    scratch.pin("requirements.txt", "extra-1.0")
    assert scratch.made("ve/copier/sentinel") == "make: installing requirements.txt\n"
    assert scratch.made("ve/copier/sentinel") == ""
    (folder / "ve/made-for").write_text("another Python")
    assert "requirements/copier.txt" in scratch.made("ve/copier/sentinel")


PINS = """#!/bin/sh
echo "$@" >>said
[ "$5" != requirements/dev.txt ] || until [ -e go ]; do touch started; done
"""


def test_pins_are_compiled_by_one_make_at_a_time(scratch):
    """A second make requirements waits for the first, which has no other file in the checkout than the pins."""
    for path in ("requirements.txt", "requirements/dev.txt"):
        put(scratch.folder / path, f"#    uv pip compile a.in -o {path}\n")
    scratch.env["INSTALLER"] = str(executable(scratch.folder.parent / "uv", PINS))
    before = {*scratch.folder.rglob("*")}
    with running(scratch.command("requirements"), env=scratch.env) as first:
        wait_until((scratch.folder / "started").exists, what="the first compiles")
        with running(scratch.command("requirements"), env=scratch.env) as second:
            wait_until(lambda: "waiting for another make" in second.output(), what="the second waits")
            put(scratch.folder / "go")
            assert [first.wait(60), second.wait(60)] == [0, 0]
    new = {str(path.relative_to(scratch.folder)) for path in {*scratch.folder.rglob("*")} - before}
    assert new == {"go", "said", "started", "ve.lock"}
