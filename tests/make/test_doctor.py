"""Tests of make doctor: the tools that a machine lacks, with cures, and an exit code that allows development or not."""

import os
import re
import shutil
import sys

import pytest

from proc import executable, run


@pytest.fixture
def machine(project, tmp_path):
    """Return `machine(words)`, which runs make doctor with only make's own programs in PATH. `machine.has(name, text)`
    adds one of this machine's programs, or a script."""

    def has(name, text=None):
        executable(tmp_path / "programs" / name, f'#!/bin/sh\n{text or f"exec {shutil.which(name)}"} "$@"\n')

    def doctor(*words, **env):
        env = {
            "PATH": f"{tmp_path}/programs",
            "HOME": str(tmp_path),
            "DOCKER_HOST": "tcp://127.0.0.1:1",
            "BASE": "",
            **env,
        }
        done = run(["make", "-s", "-C", project, "doctor", *words], env=env)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout

    for name in ("make", "sh", "sed", "env", "grep", "false"):
        has(name)
    has("python3", f"exec {os.path.realpath(sys.executable)}")
    doctor.has, doctor.folder, doctor.home = has, project, tmp_path
    return doctor


def test_a_bare_machine(machine):
    """With only Python and make one can develop, unless .env or Python forbid it. Each lack is a line with its cure."""
    code, said = machine()
    assert (
        code == 0
        and re.sub(": .*", "", said).splitlines()
        == [
            "build    no git here, but images are named after commits",
            "build    no docker here",
            "ship     no ssh here",
            "ready for",
        ]
        and said.endswith("ready for: develop; not ready for: build, ship\n")
    )
    (machine.folder / ".env").write_text("nonsense\n")
    code, said = machine("PYTHON_MIN=3.99")
    assert code == 2 and "needs 3.99 or newer: " in said and ".env line 1: not KEY=value" in said
    assert said.endswith("\nnot ready for: develop, build, ship\n")


@pytest.mark.parametrize("base, version", [("debian:bookworm-slim", (3, 11)), ("debian:trixie", (3, 13))])
def test_another_python_in_the_image(machine, base, version):
    here, note = sys.version_info[:2], "note: Python is {}.{} here and {}.{} in the image\n"
    assert (note.format(*here, *version) in machine(f"BASE={base}")[1]) == (here != version)


def test_docker(machine):
    """An engine that does not answer is reported, missing plugins are a note, and a complete Docker is neither."""
    machine.has("git")
    for version, plugins, told in ((1, 1, "Docker's engine does not answer"), (0, 1, "note: no buildx"), (0, 0, "")):
        machine.has("docker", f"case $1 in version) exit {version};; info) echo /;; *) exit {plugins};; esac; :")
        said = machine()[1]
        assert told in said and ("for: develop, build;" in said) == (not version) and ("build  " in said) == bool(told)


def test_a_repository_that_git_does_not_read(machine):
    """Images would be named unversioned, for example if another user owns the folder."""
    machine.has("git", "echo 'fatal: dubious ownership' >&2; exit 128; :")
    assert "git does not read" not in machine()[1], "it may have no repository"
    (machine.folder / ".git").mkdir()
    assert "build    git does not read this repository" in machine()[1]
    env = {"PATH": f"{machine.home}/programs", "MAKEFLAGS": "-s"}
    done = run(["make", "-C", machine.folder, "--eval=show: ; :; echo $(TAG)", "show"], env=env)
    assert (done.stdout, done.stderr) == ("unversioned-dirty\n", "fatal: dubious ownership\n")


def test_ssh(machine):
    """A key with a passphrase needs an agent, but not every key has one."""
    machine.has("ssh")
    said = machine()[1]
    assert "note: no ssh-agent" in said and "ready for: develop, ship; not" in said
