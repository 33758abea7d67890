"""What a deploy shows on a terminal."""

import io
import json
import os
import re
import subprocess
import sys

import pytest

from slipway.deploy.screen.display import SHOWN, Table, choose
from proc import ROOT


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_table_is_drawn_over_itself(monkeypatch, columns):
    """A line a host, never wider than the terminal; each drawing begins where the one before did. The latest step is
    always there, and the seconds of all."""
    monkeypatch.setenv("COLUMNS", str(columns))
    table = Table(io.StringIO())
    for step in SHOWN:
        for host in ("web1", "web2"):
            table.tell({"event": "step", "step": step, "host": host, "state": "done", "seconds": 1})
    first, *drawings = re.split("\033\\[(?=[0-9])", table.out.getvalue())
    assert first == "web1            1.0 s lock ✓\n" and drawings.pop(0).startswith("1F")
    for drawing in drawings:
        up, _, text = drawing.partition("\033[J")
        assert up == "2F" and len(text.splitlines()) == 2
        assert all(len(line) < columns for line in text.splitlines())
    assert all(line.endswith(" commit ✓") and f"{len(SHOWN)}.0 s" in line for line in text.splitlines())
    assert ("lock ✓" in text) == (columns == 200)


def test_more_hosts_than_lines(monkeypatch):
    """What is above the terminal's first line could not be drawn over: the first ones are shown."""
    monkeypatch.setenv("LINES", "3")
    table = Table(io.StringIO())
    for number in range(1000):
        table.tell({"event": "step", "step": "lock", "host": f"web{number}", "state": "done", "seconds": 1}, True)
    assert table.out.getvalue() == "", "drawn once for many events"
    for state in ("start", "done"):
        table.tell({"event": "step", "step": "flip", "host": "web0", "state": state})
    assert [text.count("\n") for text in table.out.getvalue().split("\033[2F\033[J")] == [2, 2]


@pytest.mark.parametrize("show, full", [
    ("Lines(sys.stdout, json.dumps)", False), ("Lines(sys.stdout)", True), ("Table(sys.stdout)", True)])
def test_that_nobody_reads_ends_no_deploy(show, full):
    """Its reader has gone, or the disk that takes it is full: what is told is dropped, and the exit code stays."""
    read, write = os.pipe()
    os.close(read)
    script = f"from slipway.deploy.screen.display import *\nshow = {show}\n" + 3 * (
        "show.tell({'event': 'step', 'step': 'flip', 'host': 'web1', 'state': 'done', 'seconds': 1})\n") + "sys.exit(3)"
    with open("/dev/full" if full else write, "wb") as out:
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, stdout=out, stderr=subprocess.PIPE, timeout=30)
    assert (done.returncode, done.stderr) == (3, b"")


def test_a_terminal_that_nobody_reads_holds_nothing_up():
    """More than a pipe takes is told, at once; the end waits a while for a reader, not for ever, and is clean."""
    read, write = os.pipe()
    script = ("import sys, time\nfrom slipway.deploy.screen.display import choose\n"
              "show, began = choose(True), time.monotonic()\n"
              "for _ in range(5000):\n    show.tell({'event': 'progress', 'text': 'x' * 100})\n"
              "told = time.monotonic() - began\nshow.close(0.5)\nsys.exit(3 if told < 2 else 4)")
    try:
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, stdout=write, stderr=subprocess.PIPE,
                              timeout=30)
    finally:
        os.close(read), os.close(write)
    assert (done.returncode, done.stderr) == (3, b"")


@pytest.mark.parametrize("terminal", [False, True])
def test_all_is_drawn_at_the_end(monkeypatch, terminal):
    """In the order it was told, each event with its time; on a terminal many are drawn together."""
    monkeypatch.setenv("LINES", "200")
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: terminal)
    show = choose(not terminal, out)
    for number in range(100):
        show.tell({"event": "step", "step": "flip", "host": f"web{number}", "state": "done", "seconds": 1})
    show.close()
    if terminal:
        assert out.getvalue().endswith("\nweb99           1.0 s flip ✓\n")
        return
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [event["host"] for event in events] == [f"web{number}" for number in range(100)]
    assert all(event["at"] > 1e9 for event in events)
