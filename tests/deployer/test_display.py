"""What a deploy shows on a terminal."""

import io
import os
import re
import subprocess
import sys
import threading

import pytest

from deploy.config import Host
from deploy.connection import Connection, Lost
from deploy.display import SHOWN, Table
from deploy.ssh import Ssh
from deployer.agents import agents, line
from proc import ROOT, wait_until


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_table_is_drawn_over_itself(monkeypatch, columns):
    """A line a host, never wider than the terminal; each drawing begins where the one before did. The latest step is
    always there."""
    monkeypatch.setenv("COLUMNS", str(columns))
    table = Table(io.StringIO())
    for step in SHOWN:
        for host in ("web1", "web2"):
            table.tell({"event": "step", "step": step, "host": host, "state": "done", "seconds": 1})
    first, *drawings = re.split("\033\\[(?=[0-9])", table.out.getvalue())
    assert first == "web1         lock ✓\n" and drawings.pop(0).startswith("1F")
    for drawing in drawings:
        up, _, text = drawing.partition("\033[J")
        assert up == "2F" and len(text.splitlines()) == 2
        assert all(len(line) < columns for line in text.splitlines())
    assert all(line.endswith("promise ✓ commit ✓") for line in text.splitlines())
    assert ("lock ✓" in text) == (columns == 200)


@pytest.mark.parametrize("kind", ["Json", "Lines", "Table"])
@pytest.mark.parametrize("full", [False, True])
def test_that_nobody_reads_ends_no_deploy(kind, full):
    """Its reader has gone, or the disk that takes it is full: what is told is dropped, and the exit code stays."""
    read, write = os.pipe()
    os.close(read)
    script = f"from deploy.display import {kind}; import sys; show = {kind}(sys.stdout)\n" + 3 * (
        "show.tell({'event': 'step', 'step': 'flip', 'host': 'web1', 'state': 'done', 'seconds': 1})\n") + "sys.exit(3)"
    with open("/dev/full" if full else write, "wb") as out:
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, stdout=out, stderr=subprocess.PIPE, timeout=30)
    assert (done.returncode, done.stderr) == (3, b"")


def test_an_error_that_nobody_reads_keeps_its_exit_code():
    """A refusal is exit 2 where its text cannot be written."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-m", "deploy", "--hosts", "web9", "env", "list"], cwd=ROOT, stderr=full,
                              timeout=30)
    assert done.returncode == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_waits_for_an_answer_hears_that_its_reader_has_died():
    """However the thread that reads a host's answers ends, nobody waits for one of them any more."""
    def broken(host, event):
        raise ZeroDivisionError
    with agents(lambda: lambda message: [line({"event": "progress", "text": "x", "id": message["id"]})]):
        connection = Connection(Host("web1", "web1"), Ssh(), "shop", broken).open()
        with pytest.raises(Lost, match="its answers could not be taken"):
            connection.ask("look", timeout=20)
        wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name.endswith("(_read)")], 20)
