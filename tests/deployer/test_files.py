"""deploy/host/files.py, run as on a host but on a folder of the test's: whole writes, in two halves."""

import base64
import grp
import json
import os
import pwd
import re
import shutil
import subprocess
import sys

import pytest

from proc import ROOT

PROGRAM = ROOT / "deploy/host/files.py"
OWNER, GROUP = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name


class Program:
    """The program as the deployer talks to it."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(30) == 0
        self.process.stdout.close()


@pytest.fixture
def program():
    """Started; ends by the end of its input."""
    made = Program([sys.executable, PROGRAM])
    yield made
    made.process.kill()
    made.process.wait()


def file(path, text, mode="600", owner=OWNER):
    encoded = base64.b64encode(text.encode()).decode()
    return {"path": str(path), "text": encoded, "mode": mode, "owner": owner, "group": GROUP}


def listing(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_what_is_there_is_read(program, tmp_path):
    """A file's content comes back, and for one that is not there: nothing."""
    (tmp_path / "a").write_bytes(b"\xff\n")
    answer = program.ask({"read": [str(tmp_path / "a"), str(tmp_path / "b")]})
    assert answer == {"files": {str(tmp_path / "a"): "/wo=", str(tmp_path / "b"): None}}


def test_nothing_takes_effect_before_the_commit(program, tmp_path):
    """Prepared files lie beside their places; the commit renames them there with their mode, and removes the rest."""
    (tmp_path / "a").write_text("old")
    (tmp_path / "gone").write_text("x")
    assert program.ask({"write": [file(tmp_path / "a", "new", "640")], "remove": [str(tmp_path / "gone")]}) == {
        "prepared": True}
    assert listing(tmp_path) == {"a": "old", "a.new": "new", "gone": "x"}
    assert program.ask({"commit": True}) == {"committed": True}
    assert listing(tmp_path) == {"a": "new"}
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o640
    program.end()
    assert listing(tmp_path) == {"a": "new"}


def test_whoever_leaves_before_the_commit_leaves_nothing(program, tmp_path):
    """The end of the connection takes back what was prepared."""
    (tmp_path / "a").write_text("old")
    program.ask({"write": [file(tmp_path / "a", "new"), file(tmp_path / "b", "new")], "remove": []})
    program.end()
    assert listing(tmp_path) == {"a": "old"}


@pytest.mark.parametrize("wrong, said", [
    (lambda folder: file(folder / "no/such/b", "x"), "b.new: No such file or directory"),
    (lambda folder: file(folder / "b", "x", owner="nobody-of-that-name"), "nobody-of-that-name"),
])
def test_what_fails_is_told_and_taken_back(program, tmp_path, wrong, said):
    """A folder or an owner that is not there: one line says so, and no file is left."""
    answer = program.ask({"write": [file(tmp_path / "a", "new"), wrong(tmp_path)], "remove": []})
    assert said in answer["problems"][0]
    program.process.wait(30)
    assert listing(tmp_path) == {}


def test_a_left_over_is_replaced(program, tmp_path):
    """What a power cut left beside the file is no hindrance, nor followed where it is a link."""
    (tmp_path / "a.new").symlink_to(tmp_path / "elsewhere")
    program.ask({"write": [file(tmp_path / "a", "new")], "remove": []})
    program.ask({"commit": True})
    assert listing(tmp_path) == {"a": "new"}


def test_writes_are_synced_in_order(tmp_path):
    """The file is synced before the rename, its folder after it."""
    strace = shutil.which("strace") or pytest.skip("strace is not installed")
    calls, folder = tmp_path / "calls", tmp_path / "folder"
    folder.mkdir()
    program = Program([strace, "-f", "-qq", "-e", "trace=fsync,/^rename", "-o", calls, sys.executable, PROGRAM])
    program.ask({"write": [file(folder / "a", "new")], "remove": []})
    program.ask({"commit": True})
    program.end()
    assert re.findall(r" (fsync|rename)\w*\(", calls.read_text()) == ["fsync", "rename", "fsync"]
