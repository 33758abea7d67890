"""Tests of pins that make takes from uv.lock, and of a team's own index: its packages are pinned with hashes and
installed by them, no password and no index of this machine is in a file."""

import base64
import contextlib
import hashlib
import os
import re
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import wheels
from connect import served
from proc import executable, passed, put, refusal, run
from slipway.make.uv import pip_indexes

from .conftest import BASE_PYTHON

USER, PASSWORD = "ci", "hush-5ecret"
PROJECT = """[project]
name = "shop"
version = "0"
requires-python = ">=3.11"
dependencies = ["extra"]

[dependency-groups]
dev = []

[[tool.uv.index]]
name = "public"
url = "http://127.0.0.1:{public}/simple/"
default = true
"""
OWN = """
[[tool.uv.index]]
name = "our-own"
url = "http://127.0.0.1:{own}/simple/"
"""


class Index(SimpleHTTPRequestHandler):
    """A folder as PEP 503 describes: simple/NAME/ lists its files, with hashes. With a login if the server wants."""

    def do_GET(self):
        login = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if not self.server.login or self.headers.get("Authorization") == login:
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="packages"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def list_directory(self, path):
        digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in Path(path).glob("*.whl")}
        links = "".join(f'<a href="{name}#sha256={digest}">{name}</a>\n' for name, digest in digests.items())
        body = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def index(folder, *packages, login=False):
    """Serve (name, version, text) as wheels. Yield the port. Different texts make two files of one version differ."""
    for name, version, text in packages:
        place = folder / "simple" / name
        place.mkdir(parents=True, exist_ok=True)
        wheels.wheel(place, name, version, {f"{name}.py": f"version = {version!r}  # {text}\n"})
    with served(ThreadingHTTPServer(("127.0.0.1", 0), partial(Index, directory=str(folder)))) as server:
        server.login = login
        yield server.server_port


class Locked:
    """A scratch checkout with a pyproject.toml of its own, and two indexes: ours has tiny 1.0, with a login; the public
    one has extra, a stranger's tiny 2.0 and another tiny 1.0."""

    def __init__(self, scratch, public, own):
        self.scratch, self.public, self.own = scratch, public, own
        self.folder, self.env = scratch.folder, scratch.env
        self.write(PROJECT)

    def write(self, text):
        put(self.folder / "pyproject.toml", text.replace("{public}", str(self.public)).replace("{own}", str(self.own)))

    def text(self, path):
        return (self.folder / path).read_text()

    def lock(self):
        """Make the first uv.lock."""
        passed(self.scratch.make("requirements"))


@pytest.fixture
def locked(scratch, tmp_path):
    for path in ("requirements.txt", "requirements/dev.txt"):
        (scratch.folder / path).unlink()
    ours, theirs = (
        [("tiny", "1.0", "ours")],
        [("extra", "1.0", ""), ("tiny", "1.0", "bad"), ("tiny", "2.0", "worse")],
    )  # of other sizes, for bytecode
    with index(tmp_path / "ours", *ours, login=True) as own, index(tmp_path / "theirs", *theirs) as public:
        pin = wheels.pin(scratch.packages["uv-9.9"])
        put(scratch.folder / "uv.txt", f"--find-links {scratch.packages['folder'].as_uri()}\n{pin}")
        del scratch.env["UV_NO_CONFIG"]
        scratch.env.update(
            PIP_ARGS="",
            UV_OFFLINE="0",
            UV_CACHE_DIR=str(tmp_path / "cache"),
            INSTALLER="uv",
            REQUIREMENTS_UV="uv.txt",
            UV_INDEX_OUR_OWN_USERNAME=USER,
            UV_INDEX_OUR_OWN_PASSWORD=PASSWORD,
        )
        yield Locked(scratch, public, own)


def test_our_package_is_pinned_from_our_index(locked, tmp_path):
    """Our package is pinned from our index, although the public one has a newer version and another file of the same;
    also by make upgrade. No file and no output has the password. uv, pip and the wheelhouse then install our file."""
    locked.write(PROJECT.replace('"extra"', '"extra", "tiny"') + OWN)
    locked.lock()
    digest = wheels.pin(tmp_path / "ours/simple/tiny/tiny-1.0-py3-none-any.whl").split()[1]
    for target in ("requirements", "upgrade"):
        said = passed(locked.scratch.make(target))
        assert re.findall(r"tiny==\S+ \\\n +(\S+)\n", locked.text("requirements.txt")) == [digest]
        for output in (locked.text("requirements.txt"), locked.text("uv.lock"), said.stdout, said.stderr):
            assert PASSWORD not in output
    assert PASSWORD not in locked.scratch.made() and locked.scratch.has("tiny", "extra") == ["1.0", "1.0"]
    locked.env["INSTALLER"] = "pip"
    shutil.rmtree(locked.folder / "ve")
    locked.scratch.made()
    assert locked.scratch.has("tiny", "extra") == ["1.0", "1.0"]
    by_builder(locked, tmp_path)


def by_builder(locked, tmp_path):
    """Check that the builder's pip takes our index and login from its environment."""
    with contextlib.chdir(locked.folder):
        env = {**locked.env, **pip_indexes(locked.env)}
    words = ["-m", "pip", "wheel", "--quiet", "--no-cache-dir", "--wheel-dir", tmp_path / "house"]
    done = run([BASE_PYTHON, *words, "-r", "requirements.txt"], cwd=locked.folder, env=env)
    assert done.returncode == 0 and PASSWORD not in done.stdout + done.stderr, done.stderr
    wheel = "tiny-1.0-py3-none-any.whl"
    assert (tmp_path / "house" / wheel).read_bytes() == (tmp_path / "ours/simple/tiny" / wheel).read_bytes()


@pytest.mark.parametrize("by", ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "pip.conf"])
def test_no_index_of_this_machine_is_locked(locked, by):
    """Only pyproject.toml's indexes get into uv.lock, which is the team's. To install, this machine's count, too."""
    url = f"http://{USER}:{PASSWORD}@127.0.0.1:{locked.own}/simple/"
    if by == "pip.conf":
        locked.env["PIP_CONFIG_FILE"] = str(put(locked.folder.parent / by, f"[global]\nextra-index-url = {url}\n"))
    else:
        locked.env[by] = url
    locked.write(PROJECT.replace('"extra"', '"extra", "tiny"'))
    locked.lock()
    assert 'name = "tiny"\nversion = "2.0"' in locked.text("uv.lock") and str(locked.own) not in locked.text("uv.lock")
    if by not in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"):  # which would have to have all packages
        locked.scratch.made()
        assert locked.scratch.has("tiny") == ["2.0"]


def test_without_the_login(locked):
    """If an index refuses the login, uv locks no package of another index instead, and nothing is written."""
    locked.write(PROJECT.replace('"extra"', '"extra", "tiny"') + OWN)
    locked.env["UV_INDEX_OUR_OWN_PASSWORD"] = "wrong"
    done = locked.scratch.make("requirements")
    assert done.returncode == 2 and "401 Unauthorized" in done.stderr and "make: uv lock failed" in done.stderr
    assert not (locked.folder / "uv.lock").exists() and not (locked.folder / "requirements.txt").exists()


def test_an_index_that_is_out_of_reach(locked):
    locked.public = 9
    locked.write(PROJECT)
    done = locked.scratch.make("requirements")
    assert done.returncode == 2 and "name it in pyproject.toml: docs/make.md" in done.stderr, done.stderr


def test_what_make_follows(locked):
    """make installs what a bot has changed in uv.lock alone, whatever the files' times; it locks and installs what
    somebody has added to pyproject.toml, and says so; a change of another table installs nothing."""
    locked.lock()
    assert locked.scratch.made() == "make: installing requirements.txt\n" and locked.scratch.made() == ""
    first, times = locked.text("uv.lock"), os.stat(locked.folder / "uv.lock")
    locked.write(PROJECT.replace('"extra"', '"extra", "tiny<2"'))
    said = locked.scratch.made()
    assert said == "make: Added tiny v1.0\nmake: installing requirements.txt\n"
    assert locked.scratch.has("tiny", "extra") == ["1.0", "1.0"]
    locked.write(PROJECT.replace('"extra"', '"extra", "tiny<2"') + "\n[tool.ruff]\nline-length = 100\n")
    assert locked.scratch.made() == ""
    locked.write(PROJECT)
    put(locked.folder / "uv.lock", first)
    os.utime(locked.folder / "uv.lock", (times.st_atime, times.st_mtime))
    assert locked.scratch.made() == "make: installing requirements.txt\n"
    assert locked.scratch.has("tiny", "extra") == ["None", "1.0"] and locked.text("uv.lock") == first
    (locked.folder / "requirements.txt").unlink()
    locked.scratch.made()
    assert locked.text("requirements.txt").startswith("extra==1.0 ")


def test_packages_of_development(locked):
    """The group dev is development's; a project without it has no packages there."""
    locked.write(PROJECT.replace("dev = []", 'dev = ["tiny"]'))
    locked.lock()
    locked.scratch.made("ve/sentinel-dev")
    assert locked.scratch.has("tiny", "extra") == ["2.0", "1.0"] and "tiny" not in locked.text("requirements.txt")
    locked.write(PROJECT.replace("[dependency-groups]\ndev = []", ""))
    locked.scratch.made("ve/sentinel-dev")
    assert locked.scratch.has("tiny", "extra") == ["None", "1.0"]


def test_what_has_no_hash_is_refused(locked):
    put(locked.folder / "own/pyproject.toml", "[project]\nname = 'own'\nversion = '1'\n")
    locked.write(PROJECT.replace('"extra"', '"own"') + '\n[tool.uv.sources]\nown = { path = "own" }\n')
    assert "./own in uv.lock is a folder or a git repository, which has no hash" in refusal(
        locked.scratch.make("requirements")
    )
    assert not (locked.folder / "requirements.txt").exists()


def test_a_broken_project_file(locked):
    locked.lock()
    locked.write(PROJECT.replace("[project]", "[project"))
    done = locked.scratch.make("ve/sentinel")
    assert done.returncode == 2 and "TOML parse error" in done.stderr and "make: uv lock failed" in done.stderr


# ---- without uv.lock ----

HEADER = "# This file was autogenerated by uv via the following command:\n#    uv pip compile {} -o {}\n"
OF_PIP_TOOLS = (
    "# This file is autogenerated by pip-compile with Python 3.12\n#\n#    pip-compile --output-file={0} {1}\n#\n"
)


def test_the_command_in_a_header(locked, tmp_path):
    """make requirements runs the command that wrote each file, and writes what it writes when it is typed; versions
    stay, and change by make upgrade. Other files stay as they are."""
    locked.env["UV_DEFAULT_INDEX"] = f"http://127.0.0.1:{locked.public}/simple"
    header = HEADER.format("--generate-hashes requirements.in", "requirements.txt")
    for path, text in {
        "requirements.in": "tiny\n",
        "requirements.txt": f"{header}tiny==1.0\n",
        "requirements/dev.txt": OF_PIP_TOOLS.format("requirements/dev.txt", "dev.in"),
        "requirements/more.txt": "tiny==1.0\n",
    }.items():
        put(locked.folder / path, text)
    executable(tmp_path / "bin/pip-compile", '#!/bin/sh\necho "$@" >>compiled\n')
    locked.env["PATH"] = f"{tmp_path}/bin:{locked.env['PATH']}"
    for target, version in (("requirements", "1.0"), ("upgrade", "2.0")):
        passed(locked.scratch.make(target))
        assert locked.text("requirements.txt").startswith(f"{header}tiny=={version} \\\n    --hash=sha256:")
    words = "--output-file=requirements/dev.txt dev.in"
    assert locked.text("compiled") == f"{words}\n{words} --upgrade\n"
    assert locked.text("requirements/more.txt") == "tiny==1.0\n"


@pytest.mark.parametrize(
    "text, message",
    [
        ("tiny\n", "requirements.txt has no command in its header"),
        (HEADER.format("lost.in", "requirements.txt"), "failed, see above: uv pip compile lost.in"),
        (OF_PIP_TOOLS.format("a", "b"), "pip-compile: No such file or directory: install it to run pip-compile"),
    ],
)
def test_a_command_that_cannot_be_run(locked, text, message):
    """One line says what is wrong, and the file stays as it is."""
    put(locked.folder / "requirements.txt", text)
    done = locked.scratch.make("requirements")
    assert done.returncode == 2 and f"{message}" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert locked.text("requirements.txt") == text


def test_a_list_as_it_stands(locked, tmp_path):
    """A list without hashes may name a few packages: what these need is installed, too, and what it no longer names is
    removed. PowerShell writes UTF-16."""
    needy = wheels.wheel(tmp_path, "needy", "1.0", {"needy.py": ""}, "Requires-Dist: extra\n")
    locked.env["PIP_INDEX_URL"] = f"http://127.0.0.1:{locked.public}/simple/"
    put(locked.folder / "requirements.txt", f"needy @ {needy.as_uri()}\ntiny\n")
    locked.scratch.made()
    assert locked.scratch.has("extra", "tiny") == ["1.0", "2.0"]
    (locked.folder / "requirements.txt").write_bytes("tiny==1.0\r\n".encode("utf-16"))
    locked.scratch.made()
    assert locked.scratch.has("extra", "tiny") == ["None", "1.0"]
