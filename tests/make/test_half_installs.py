"""Tests of what make believes of a virtualenv: half an install never counts as whole. A stand-in installs."""

import os
from pathlib import Path

import pytest

from proc import executable, put
from slipway.make import virtualenv

INSTALLER = """#!/bin/sh
echo "$*" >>calls
for name in $BRINGS; do echo $name >"$(echo ve/lib/python*/site-packages)/$name.py"; done
[ -z "$CHANGES" ] || until [ "$CHANGES" -nt ve/unfinished ]; do touch "$CHANGES"; done
exit ${CODE:-0}
"""


class Installs:
    """A folder with pins. `install(NAME=VALUE …)` runs what the rule of a sentinel runs; `calls`: the installer's."""

    def __init__(self, folder):
        self.env = {
            "PYTHON": "python3",
            "PYTHON_MIN": "3.11",
            "MADE_FOR": "here",
            "INSTALLER": str(executable(folder / "installer", INSTALLER)),
            "PIP_ARGS": "",
            "REQUIREMENTS_UV": "",
            "PATH": os.environ["PATH"],
        }
        for path in ("requirements.txt", "dev.txt"):
            put(folder / path, "tiny==1.0\n")

    def install(self, sentinel="sentinel", files=("requirements.txt",), **env):
        """Return the number of the installer's calls, or the line with which make ends."""
        Path("calls").write_text("")
        try:
            virtualenv.main([f"ve/{sentinel}", *files], {**self.env, **env})
        except SystemExit as error:
            return str(error)
        return len(Path("calls").read_text().splitlines())

    def change(self):
        """Give the pins a time after that of the sentinel."""
        at = os.stat("ve/sentinel").st_mtime_ns + 1
        os.utime("requirements.txt", ns=(at, at))

    def has(self, name):
        return any(Path("ve").glob(f"lib/python*/site-packages/{name}.py"))


@pytest.fixture
def installs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Installs(tmp_path)


def test_an_install_that_breaks_off_in_the_middle(installs):
    """What it has brought is not trusted: the next install begins anew, of whatever sentinel it is."""
    assert installs.install(BRINGS="good") == 1 and installs.install() == 0
    installs.change()
    assert "requirements.txt is not installed" in installs.install(BRINGS="half", CODE="2")
    assert installs.has("half") and not os.path.exists("ve/sentinel")
    assert installs.install("sentinel-dev", ("requirements.txt", "dev.txt")) == 1
    assert not installs.has("half") and not installs.has("good") and not os.path.exists("ve/sentinel")


def test_an_install_that_fails_before_it_changes_anything(installs):
    """What is there stays, but its pins do not count as installed."""
    assert installs.install(BRINGS="good") == 1
    installs.change()
    assert "is not installed" in installs.install(CODE="1")
    assert installs.has("good") and not os.path.exists("ve/sentinel") and not os.path.exists("ve/unfinished")
    assert installs.install() == 1 and installs.has("good")


@pytest.mark.parametrize("newer", ["requirements.txt", "dev.txt"])
def test_pins_that_change_while_they_are_installed(installs, newer):
    """They are installed again: the sentinel has the time from before the install."""
    files = ("requirements.txt", "dev.txt")
    assert installs.install("sentinel-dev", files, CHANGES=newer) == 1
    assert installs.install("sentinel-dev", files) == 1 and installs.install("sentinel-dev", files) == 0


@pytest.mark.parametrize("harm", ["no python", "another folder", "no word of it", "unfinished"])
def test_a_virtualenv_that_is_not_whole(installs, harm):
    assert installs.install(BRINGS="good") == 1
    if harm == "no python":
        os.unlink("ve/bin/python")
    elif harm == "another folder":
        Path("ve/made-for").write_text("there")
    elif harm == "no word of it":
        os.unlink("ve/made-for")
    else:
        put(Path("ve/unfinished"))
    assert installs.install() == 1 and not installs.has("good") and installs.install() == 0


def test_what_other_sentinels_stand_for_stays(installs):
    """An install names the pins of all sentinels, and the sentinel its own."""
    assert installs.install() == 1
    assert installs.install("sentinel-dev", ("requirements.txt", "dev.txt")) == 1
    installs.change()
    assert installs.install() == 1
    assert "--requirement=requirements.txt --requirement=dev.txt" in Path("calls").read_text()
    assert (Path("ve/sentinel").read_text(), Path("ve/sentinel-dev").read_text()) == (
        "requirements.txt",
        "requirements.txt dev.txt",
    )
