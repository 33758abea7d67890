"""What make says when it cannot make the virtualenv: the cause and the cure in one line, exit code not 0."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import wheels
from proc import as_mortal, run

from .conftest import WITH_PIP_TOO

BASE_PYTHON = os.path.realpath(sys.executable)
PROGRESS = ("make: installing", "make: waiting")


def refusal(done):
    """The one line that says why, of a make that failed; it may be preceded by lines of progress."""
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if not line.startswith(PROGRESS) and "***" not in line]
    assert len(lines) == 1 and lines[0].startswith("make: "), done.stderr
    return lines[0]


def script(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def fake_python(path, code):
    """A Python that runs `code` when it starts, before what it is asked to run."""
    site = path.parent / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(code)
    return script(path, f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(site))} exec {BASE_PYTHON} "$@"\n')


@pytest.mark.parametrize("words, said", [
    (["ve/sentinel", "PYTHON_MIN=3.99"], ["{}.{}.{}".format(*sys.version_info), "3.99 or newer", "make PYTHON="]),
    (["ve/sentinel", "PYTHON=pythonless"], ["no pythonless here", "make PYTHON="]),
    (["ve/sentinel", "REQUIREMENTS=lost.txt"], ["lost.txt: No such file"]),
    (["template-update"], ["requirements/copier.txt is not installed: "]),
    (["new", "NAME=../x"], ["requirements/copier.txt is not installed: "])], ids=lambda value: value[-1])
def test_told(scratch, words, said):
    """A Python that is too old or not there, missing pins, and copier's where it cannot be had."""
    (scratch.folder / "requirements/copier.txt").write_text("copier==0.0.1\n")
    line = refusal(scratch.make(*words))
    assert all(each in line for each in said), line


def test_too_old_a_python(scratch):
    """A really old Python can still read make/make_ve.py, and says the same."""
    paths = [*Path.home().glob(".pyenv/versions/3.*/bin/python3"),
             *filter(None, (shutil.which(f"python3.{minor}") for minor in range(6, 11)))]
    said = [(run([path, "-V"]).stdout.strip(), path) for path in paths]
    old = [(version, path) for version, path in said if re.match(r"Python 3\.([6-9]|10)\.", version)]
    if not old:
        pytest.skip("not to be had: a Python older than 3.11")
    version, path = old[0]
    line = refusal(scratch.make("ve/sentinel", f"PYTHON={path}"))
    assert f"is {version}, and this project needs 3.11 or newer" in line


@pytest.mark.parametrize("module", ["ensurepip", "venv"])
def test_no_venv_module(scratch, tmp_path, module):
    """Debian's python3 without python3-venv: the line names the package to install."""
    python = fake_python(tmp_path / "python", f"import sys; sys.modules[{module!r}] = None")
    line = refusal(scratch.make("ve/sentinel", f"PYTHON={python}"))
    assert "apt install python{}.{}-venv".format(*sys.version_info) in line
    assert not (scratch.folder / "ve").exists()


def test_no_uv_to_be_had(scratch, tmp_path):
    """Where uv cannot be fetched pip installs, and says that it does; one for another machine counts as none."""
    for uv in ("uv", script(tmp_path / "uv", "\177ELF of another machine")):
        shutil.rmtree(scratch.folder / "ve", ignore_errors=True)
        scratch.env["INSTALLER"] = uv
        (scratch.folder / "requirements/uv.txt").write_text("uv==0.0.1\n")
        assert "installed it with pip, as uv failed" in scratch.made()
        assert scratch.has("tiny") == ["1.0"]


def test_no_network(scratch):
    """Without a network the line says so, though both installers were tried."""
    with socket.socket() as sock:  # bound and not listening: refuses
        sock.bind(("127.0.0.1", 0))
        scratch.env.update(INSTALLER="uv", PIP_ARGS="", UV_OFFLINE="0",
                           PIP_INDEX_URL="http://127.0.0.1:{}/simple".format(sock.getsockname()[1]))
        line = refusal(scratch.make("ve/sentinel"))
    assert "requirements.txt is not installed: cannot reach the package index: check the network" in line


@WITH_PIP_TOO
def test_hash_mismatch(scratch):
    """A package that is not the pinned one is refused by name, and nothing counts as installed."""
    pins = scratch.folder / "requirements.txt"
    pins.write_text(wheels.pin(scratch.packages["tiny-1.0"]).partition("sha256:")[0] + "sha256:" + "0" * 64)
    line = refusal(scratch.make("ve/sentinel"))
    assert "hash" in line.lower() and "tiny" in line and scratch.sentinels() == []


def test_folder_that_is_no_virtualenv(scratch):
    """A folder that make did not make is never removed."""
    (scratch.folder / "ve").mkdir()
    (scratch.folder / "ve/thesis.txt").write_text("years of work")
    assert "ve is in the way and is no virtualenv" in refusal(scratch.make("ve/sentinel"))
    assert (scratch.folder / "ve/thesis.txt").read_text() == "years of work"


def test_read_only_checkout(scratch):
    """A checkout that one may not write: the line names the file, and what to do."""
    scratch.folder.chmod(0o555)
    done = run(as_mortal(scratch.command("ve/sentinel")), env=scratch.env)
    scratch.folder.chmod(0o755)
    line = refusal(done)
    assert "ve.lock: Permission denied" in line and "make VE=" in line


def test_clean_of_what_is_not_ours(scratch):
    """Files of another user: one line, with the first of them and how many there are."""
    scratch.made()
    folders = [scratch.folder / "ve", *(path for path in (scratch.folder / "ve").rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    done = run(as_mortal(scratch.command("clean")), env=scratch.env)
    for folder in folders:
        folder.chmod(0o755)
    line = refusal(done)
    assert "Permission denied (and " in line and "as the user whose files they are" in line


def test_disk_full(scratch):
    """When nothing more can be written no sentinel claims an install, and the line is the system's own word."""
    def limit():
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))

    done = subprocess.run([str(word) for word in scratch.command("ve/sentinel")], env=scratch.env, text=True,
                          capture_output=True, timeout=120, preexec_fn=limit)
    assert done.returncode and scratch.sentinels() == []
    assert "Traceback" not in done.stderr and "File too large" in refusal(done)
