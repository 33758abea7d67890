"""Tests of make's errors if it cannot make the virtualenv: cause and cure in one line, exit code not 0."""

import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import wheels
from proc import as_mortal, executable, output, put, refusal, run
from slipway.make.requirements import hint
from slipway.make.uv import why

from .conftest import BASE_PYTHON, WITH_PIP_TOO


@pytest.mark.parametrize(
    "words, message",
    [
        (["ve/sentinel", "PYTHON_MIN=3.99"], ["{}.{}.{}".format(*sys.version_info), "3.99 or newer", "make PYTHON="]),
        (["ve/sentinel", "PYTHON=pythonless"], ["no pythonless here", "make PYTHON="]),
        (["ve/sentinel", "REQUIREMENTS=lost.txt"], ["no lost.txt here, and no uv.lock: see"]),
        (["template-update"], ["requirements/copier.txt is not installed: "]),
    ],
    ids=lambda value: value[-1],
)
def test_told(scratch, words, message):
    """A Python that is too old or missing, missing pins, and a copier that cannot be installed are each reported."""
    (scratch.folder / "requirements/copier.txt").write_text("copier==0.0.1\n")
    line = refusal(scratch.make(*words))
    assert all(each in line for each in message), line


def test_too_old_a_python(scratch):
    """A very old Python can still parse slipway/__main__.py, and gets the same error."""
    paths = [
        *Path.home().glob(".pyenv/versions/3.*/bin/python3"),
        *filter(None, (shutil.which(f"python3.{minor}") for minor in range(6, 11))),
    ]
    said = [(run([path, "-V"]).stdout.strip(), path) for path in paths]
    old = [(version, path) for version, path in said if re.match(r"Python 3\.([6-9]|10)\.", version)]
    if not old:
        pytest.skip("not to be had: a Python older than 3.11")
    version, path = old[0]
    line = refusal(scratch.make("ve/sentinel", f"PYTHON={path}"))
    assert f"is {version}, and this project needs 3.11 or newer" in line


@pytest.mark.parametrize("module", ["ensurepip", "venv"])
def test_no_venv_module(scratch, tmp_path, module):
    """With Debian's python3 without python3-venv, the error names the package to install."""
    site = put(tmp_path / "site/sitecustomize.py", f"import sys; sys.modules[{module!r}] = None").parent
    path = shlex.quote(str(site))
    python = executable(tmp_path / "python", f'#!/bin/sh\nPYTHONPATH={path} exec {BASE_PYTHON} "$@"\n')
    line = refusal(scratch.make("ve/sentinel", f"PYTHON={python}"))
    assert "apt install python{}.{}-venv".format(*sys.version_info) in line
    assert not (scratch.folder / "ve").exists()


def test_no_uv_to_be_had(scratch, tmp_path):
    """If uv cannot be fetched, or is for another machine, the error names pip as the cure, which Python may lack."""
    (scratch.folder / "requirements/uv.txt").write_text("uv==0.0.1\n")
    for uv, said in ("uv", "INSTALLER=pip"), (executable(tmp_path / "uv", "\177ELF of another machine"), "or to pip"):
        assert said in refusal(scratch.make("ve/sentinel", f"INSTALLER={uv}"))
    output([BASE_PYTHON, "-m", "venv", "--without-pip", tmp_path / "no pip"])
    scratch.made("ve/sentinel", "INSTALLER=pip", f"PYTHON={tmp_path}/no pip/bin/python")
    assert scratch.has("tiny") == ["1.0"]


def test_no_network(scratch):
    """Without a network the error names that as the cause."""
    with socket.socket() as sock:  # bound but not listening: it refuses
        sock.bind(("127.0.0.1", 0))
        scratch.env.update(
            INSTALLER="uv",
            PIP_ARGS="",
            UV_OFFLINE="0",
            PIP_INDEX_URL=f"http://127.0.0.1:{sock.getsockname()[1]}/simple",
        )
        line = refusal(scratch.make("ve/sentinel"))
    assert "is not installed: cannot reach the package index: check the network" in line


# As uv 0.13 and pip 26 print them; NAME is the package, URL the index.
ABSENT = """error: No solution found when resolving dependencies
  cause: Because NAME was not found in the package registry and you require NAME==1.0, we can conclude that your ...
"""
ABSENT_OF_PIP = """ERROR: Could not find a version that satisfies the requirement NAME==1.0 (from versions: none)
ERROR: No matching distribution found for NAME==1.0
"""
BROKEN = """error: Request failed after 3 retries in 8.4s
  cause: Failed to fetch: URL/NAME/
  cause: HTTP status server error (500 Internal Server Error) for url (URL/NAME/)
"""
UNFIT = """error: Failed to read NAME @ file:///home/me/proxy certificate/NAME-1.0-py3-none-any.whl
"""
NO_ANSWER = """error: Failed to fetch: URL/NAME/
  cause: error sending request for url (URL/NAME/)
  cause: client error (Connect)
  cause: """
NO_ANSWER_OF_PIP = """WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'ERROR': /simple/NAME/
ERROR: No matching distribution found for NAME==1.0
"""
NAMES = ["django-proxy", "connection", "certificate-tools", "timeout-decorator", "unreachable", "connect", "uv-proxy"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("url", ["https://packages.example/simple", "https://proxy.example/connection/timeout"])
def test_a_name_is_no_cause(name, url):
    """A package or an index that is called as a fault of the network is none: the real cause is told."""

    def told(text):
        return why(text.replace("NAME", name).replace("URL", url))

    assert told(ABSENT).startswith(f"no index has {name}, or one refused the login")
    assert told(ABSENT_OF_PIP) == f"No matching distribution found for {name}==1.0"
    assert told(BROKEN).startswith("HTTP status server error (500")
    assert told(UNFIT).startswith(f"Failed to read {name} @")
    assert hint(ABSENT.replace("NAME", name)) == ""
    for cause in ("dns error", "tcp connect error", "tunnel error: unsuccessful", "invalid peer certificate: Expired"):
        assert told(f"{NO_ANSWER}{cause}\n").startswith("cannot reach the package index: ") and hint(NO_ANSWER + cause)
    for cause in ("ProxyError('Cannot connect to proxy.')", 'ReadTimeoutError("Read timed out. (read timeout=2.0)")'):
        assert told(NO_ANSWER_OF_PIP.replace("'ERROR'", cause)).startswith("cannot reach the package index: ")


@WITH_PIP_TOO
@pytest.mark.parametrize("name", ["django-proxy", "connection-certificate"])
def test_a_missing_package_that_is_called_as_a_fault(scratch, name):
    (scratch.folder / "requirements.txt").write_text(f"{name}==1.0 --hash=sha256:{'0' * 64}\n")
    line = refusal(scratch.make("ve/sentinel"))
    assert name in line and "cannot reach" not in line


@WITH_PIP_TOO
def test_hash_mismatch(scratch):
    """A package whose hash is not the pinned one is refused by name, and the install does not count as complete."""
    pins = scratch.folder / "requirements.txt"
    pins.write_text(wheels.pin(scratch.packages["tiny-1.0"]).partition("sha256:")[0] + "sha256:" + "0" * 64)
    line = refusal(scratch.make("ve/sentinel"))
    assert "hash" in line.lower() and "tiny" in line and scratch.sentinels() == []


def test_folder_that_is_no_virtualenv(scratch):
    """A folder that make did not make is never removed."""
    put(scratch.folder / "ve/thesis.txt", "years of work")
    assert "ve exists and is not a virtualenv" in refusal(scratch.make("ve/sentinel"))
    assert (scratch.folder / "ve/thesis.txt").read_text() == "years of work"


def test_read_only_checkout(scratch):
    """In a read-only checkout the error names the file, and a cure."""
    scratch.folder.chmod(0o555)
    done = run(as_mortal(scratch.command("ve/sentinel")), env=scratch.env)
    scratch.folder.chmod(0o755)
    line = refusal(done)
    assert "ve.lock: Permission denied" in line and "make VE=" in line


def test_clean_of_what_is_not_ours(scratch):
    """If another user owns the files, one line names the first of them."""
    scratch.made()
    folders = [scratch.folder / "ve", *(path for path in (scratch.folder / "ve").rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    done = run(as_mortal(scratch.command("clean")), env=scratch.env)
    for folder in folders:
        folder.chmod(0o755)
    line = refusal(done)
    assert "Permission denied: " in line and "as the owner of these files" in line


def test_disk_full(scratch):
    """If the disk is full, no sentinel records an install, and the error is the system's message."""

    def limit():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))

    done = subprocess.run(
        [str(word) for word in scratch.command("ve/sentinel")],
        env=scratch.env,
        text=True,
        capture_output=True,
        timeout=120,
        preexec_fn=limit,
        check=False,
    )
    assert done.returncode and scratch.sentinels() == []
    assert "Traceback" not in done.stderr and "File too large" in refusal(done)
