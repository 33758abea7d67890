"""When the virtualenv must be made, made again or left alone, by the real make.

With uv; with pip too where what pip does itself counts.
"""

import os
import shutil
import signal

import pytest

import wheels
from proc import run, running, signal_group, wait_until

from .conftest import BASE_PYTHON, WITH_PIP_TOO

NOWHERE = "nowhere==1.0 --hash=sha256:" + "0" * 64 + "\n"


def slow_install(scratch, target="ve/sentinel"):
    """A make that is in the middle of an install, and stays there until `let_go`."""
    scratch.pin("requirements.txt" if target == "ve/sentinel" else "requirements/dev.txt", "slow-1.0")
    return running(scratch.command(target), env=scratch.env)


def in_the_middle(scratch):
    wait_until(lambda: os.path.exists(scratch.env["SLOW_STARTED"]), what="the installer is at work")


def let_go(scratch):
    open(scratch.env["SLOW_MAY_GO_ON"], "w").close()


@WITH_PIP_TOO
def test_installs_what_is_pinned_and_nothing_when_asked_again(scratch):
    """A fresh checkout gets its pins; the next make says and installs nothing, whatever the files' times, and starts no
    Python to find out."""
    calls, python = scratch.folder.parent / "calls", scratch.folder.parent / "python"
    python.write_text(f'#!/bin/sh\necho called >>"{calls}"\nexec "{BASE_PYTHON}" "$@"\n')
    python.chmod(0o755)
    scratch.env["PYTHON"] = str(python)
    assert scratch.made() == "make: installing requirements.txt\n"  # by the installer that was asked for
    assert scratch.has("tiny", "extra") == ["1.0", "None"]
    calls.unlink()
    for moment in (2_000_000_000, 0):
        for path in scratch.folder.glob("requirements*.txt"):
            os.utime(path, (moment, moment))
        assert scratch.made() == "" and not calls.exists()


def test_who_types_pip(scratch):
    """In the activated virtualenv, or as Django's own hints have it: one line, and nothing is installed elsewhere.
    Where a project pins pip it is there as any other package."""
    def type_it(typed):
        return run(["sh", "-c", f". ve/bin/activate && {typed}"], cwd=scratch.folder, env=scratch.env)

    scratch.folder = scratch.folder.rename(scratch.folder.parent / "a copy")  # activate itself minds quotes in a name
    scratch.made()
    scratch.env["PIP_NO_INDEX"] = "1"  # whatever pip this would be, it shall install nothing here
    for typed in ("pip", "pip3", "python -m pip"):
        done = type_it(f"{typed} install Pillow")
        assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
        assert all(word in done.stderr for word in ("Pillow", "requirements.in", "make requirements")), done.stderr
    wheels.wheel(scratch.packages["folder"], "pip", "99.0", {
        "pip/__init__.py": "", "pip/__main__.py": "print('real')",
        "pip-99.0.data/scripts/pip": "#!python\nprint('real')\n"})
    (scratch.folder / "requirements.txt").write_text("pip==99.0\n")
    scratch.made()
    assert [type_it(typed).stdout for typed in ("pip", "python -m pip")] == ["real\n"] * 2


def test_development(scratch):
    """sentinel-dev means both files; asked for second it leaves the first alone, also when it fails. What it pinned
    before goes, though production's pins are the same."""
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


@pytest.mark.parametrize("installer, helper", [("uv", False), ("uv", True), ("pip", True)], indirect=["installer"])
def test_killed_make_leaves_its_installer_the_lock(scratch, helper):
    """When make is killed, or its make_ve.py too, the installer goes on, and the next make waits for it before it
    installs: the lock is the installer's, not only its parent's."""
    with slow_install(scratch) as first:
        in_the_middle(scratch)
        children = run(["pgrep", "-g", str(first.pid), "-f", "make_ve.py"]).stdout.split()
        assert len(children) >= 1
        for pid in [first.pid, *map(int, children if helper else [])]:
            os.kill(pid, signal.SIGKILL)
        with running(scratch.command("ve/sentinel"), env=scratch.env) as second:
            wait_until(lambda: "waiting for another make" in second.output(), what="the second make waits")
            assert scratch.sentinels() == [] and second.poll() is None
            let_go(scratch)
            assert second.wait(60) == 0
            assert helper or "installing requirements" not in second.output(), "what it waited for is done"
    assert scratch.sentinels() == ["sentinel"] and scratch.made() == ""


def test_what_a_killed_installer_left_is_not_trusted(scratch):
    """kill -9 of the whole group in the middle leaves no sentinel. A package that is half there, as its metadata came
    first, is installed again."""
    scratch.made()
    with slow_install(scratch, "ve/sentinel-dev") as make:
        in_the_middle(scratch)
        half = next((scratch.folder / "ve/lib").glob("python*/site-packages")) / "extra-1.0.dist-info"
        half.mkdir()
        (half / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
        signal_group(make, signal.SIGKILL)
        make.wait(10)
    assert scratch.sentinels() == ["sentinel"]
    scratch.pin("requirements/dev.txt", "extra-1.0")
    scratch.made("ve/sentinel-dev")
    assert scratch.has("extra") == ["1.0"]


def test_changed_pins(scratch):
    """A changed pin is installed, what is no longer pinned is gone, and so back again, as with branches: always a clean
    virtualenv. An install that fails leaves no sentinel. Hashes are not needed."""
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
    """A copy gets a virtualenv of its own, and the first keeps its. A virtualenv knows its folder: in a moved checkout
    it is made anew, and names no old place."""
    scratch.made()
    first, scratch.folder = scratch.folder, scratch.folder.parent / "copy"
    shutil.copytree(first, scratch.folder, symlinks=True)
    assert "installing" in scratch.made()
    scratch.folder = first
    assert scratch.made() == ""
    scratch.folder = first.rename(first.parent / "moved")
    assert "installing" in scratch.made() and scratch.has("tiny") == ["1.0"]
    assert "scratch" not in (scratch.folder / "ve/pyvenv.cfg").read_text()


def test_another_interpreter(scratch):
    """A link such as python3 may lead elsewhere one day: the virtualenv names what it leads to now. When that is gone,
    by an upgrade say, the next make takes the one there is."""
    link = scratch.folder.parent / "my python"
    link.symlink_to(scratch.env["PYTHON"])
    scratch.made("ve/sentinel", f"PYTHON={link}")
    link.unlink()
    assert scratch.has("tiny") == ["1.0"]
    python = scratch.folder / "ve/bin/python"
    python.unlink()
    python.symlink_to("/nowhere/python3.11")
    assert "installing" in scratch.made() and scratch.has("tiny") == ["1.0"]


def test_many_targets_at_once(scratch):
    """make -j8 of targets that all need a virtualenv makes it once, in one piece."""
    for name in ("one", "two", "three"):
        with open(scratch.folder / "Makefile", "a") as file:
            file.write(f"{name}: $(VE)/sentinel $(VE)/sentinel-dev\n\t@$(VE)/bin/python -c 'import tiny, extra'\n")
    said = scratch.made("-j8", "one", "two", "three", "ve/sentinel")
    assert said.count("installing requirements.txt") == said.count("installing requirements/dev.txt") == 1


def test_copier_has_its_own(scratch):
    """What copier needs is apart from what the project needs; and it is made again when the project's is."""
    scratch.pin("requirements/copier.txt", "tiny-2.0")
    folder = scratch.folder
    assert scratch.made("ve/copier/sentinel").splitlines() == [
        "make: installing requirements.txt", "make: installing requirements/copier.txt"]
    done = run([folder / "ve/copier/bin/python", "-c", "import tiny; print(tiny.version)"])
    assert scratch.has("tiny") == ["1.0"] and done.stdout == "2.0\n", done.stderr
    assert scratch.made("ve/copier/sentinel") == ""
    scratch.pin("requirements.txt", "extra-1.0")
    assert "requirements/copier.txt" in scratch.made("ve/copier/sentinel")
