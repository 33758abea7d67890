"""The display of a deploy: on a terminal, in a log, and if nobody reads it."""

import io
import os
import re
import sys

import pytest

from pictures.terminal import left
from proc import ROOT, run
from slipway.deploy.screen.display import Lines, Terminal
from slipway.deploy.screen.text_tables import table

HOSTS = ["web1", "web2", "work1"]


def step(host, state, at=0.0, **extra):
    return {"event": "step", "step": "pull", "host": host, "state": state, "at": at, **extra}


def pull(hosts=HOSTS):
    """Yield the events of a pull: web1 finishes, web2 is late and fails, and so work1 is stopped."""
    yield {"event": "group", "step": "pull", "hosts": hosts, "limit": 60, "at": 0.0}
    yield from (step(host, "start") for host in hosts)
    yield step("web1", "done", 2.0, seconds=2.0)
    yield {"event": "waiting", "host": "web2", "text": "45 of\x1b 107 MB", "at": 6.0}
    yield {"event": "tick", "at": 12.4}
    yield {"event": "progress", "host": "web1", "text": "a word", "at": 12.5}
    yield step("web2", "failed", 13.0, seconds=13.0)
    yield step("work1", "stopped", 13.0, seconds=13.0)


def screen(display, events):
    """Return the lines on the screen after each event."""
    shown = []
    for event in events:
        display.tell(event)
        shown.append(left(display.out.getvalue()))
    return shown


def test_a_step_is_a_line_on_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    shown = screen(Terminal(io.StringIO()), pull())
    assert shown[3] == ["pull            0.0 s  … web1  … web2  … work1"]
    late = "pull           12.4 s  ✓ web1  … web2  … work1   web2: 45 of\\x1b 107 MB (+1), 12 of 60 s"
    assert shown[6] == [late]
    assert shown[7] == ["web1: a word", late.replace("12.4", "12.5")]
    assert shown[-1] == ["web1: a word", "pull           13.0 s  ✓ web1  ✗ web2  – work1"]


def test_many_hosts_are_counted(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    shown = screen(Terminal(io.StringIO()), pull([*HOSTS, *(f"web{number}" for number in range(3, 40))]))
    assert " s  … 1 of 40, ✗ web2   waits for web3 (" in shown[-1][-1]
    assert all(len(line) < 60 for lines in shown for line in lines)


def test_a_log_has_a_line_for_each_begin_and_end():
    lines = [line.split(" ", 1) for line in screen(Lines(io.StringIO()), pull())[-1]]
    assert all(re.fullmatch("[0-9:]{8}", clock) for clock, _ in lines)
    assert [text for _, text in lines] == [
        "pull            0.0 s  … web1  … web2  … work1",
        "web1: a word",
        "pull           13.0 s  ✓ web1  ✗ web2  – work1",
    ]


def test_a_log_tells_again_and_again_what_a_slow_step_waits_for():
    """Not at each tick."""
    ticks = [{"event": "tick", "at": at} for at in (29.0, 30.0, 31.0, 59.5, 60.5)]
    waits = {"event": "waiting", "host": "web2", "text": "45 of 107 MB", "at": 40.0}
    shown = screen(Lines(io.StringIO()), [*[*pull()][:5], *ticks[:3], waits, *ticks[3:]])
    assert [len(lines) for lines in shown] == [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3]
    assert [line.split(" ", 1)[1] for line in shown[-1][1:]] == [
        "pull           30.0 s  ✓ web1  … web2  … work1   waits for web2 (+1), 30 of 60 s",
        "pull           60.5 s  ✓ web1  … web2  … work1   web2: 45 of 107 MB (+1), 60 of 60 s",
    ]


def test_an_event_is_drawn_with_those_that_wait(monkeypatch):
    terminal = Terminal(io.StringIO())
    for number in range(100):
        terminal.tell(step(f"web{number}", "done", seconds=1), True)
    assert terminal.out.getvalue() == ""
    terminal.tell(step("web100", "done", seconds=1))
    assert terminal.out.getvalue().count("\n") == 101


STEP = "show.tell({'event': 'step', 'step': 'flip', 'host': 'web1', 'state': 'done', 'seconds': 1})"


@pytest.mark.parametrize(
    "show, script, where",
    [
        ("Json(sys.stdout)", 3 * f"{STEP}\n", "closed"),
        ("Lines(sys.stdout)", 3 * f"{STEP}\n", "full"),
        ("Terminal(sys.stdout)", 3 * f"{STEP}\n", "full"),
        ("choose(True)", f"for _ in range(5000):\n    {STEP}\nshow.close(0.5)\n", "not read"),
    ],
)
def test_that_nobody_reads_neither_ends_nor_holds_up_a_deploy(show, script, where):
    read, write = os.pipe()
    script = f"import sys\nfrom slipway.deploy.screen.display import *\nshow = {show}\n{script}sys.exit(3)"
    with open(read, "rb") as reader, open("/dev/full" if where == "full" else write, "wb") as out:
        if where == "closed":
            reader.close()
        done = run([sys.executable, "-c", script], 60, cwd=ROOT, stdout=out)
    assert (done.returncode, done.stderr) == (3, "")


def test_tables_fit_the_terminal(monkeypatch):
    rows = [("host", "state", "image"), ("web1", "active " * 9, "sha256:" + 93 * "0"), ("work1", "-", "")]
    for columns, most in (("60", 60), ("400", 100), ("4", 13)):
        monkeypatch.setenv("COLUMNS", columns)
        lines = table(rows).splitlines()
        assert max(map(len, lines)) == most and lines[1].endswith("…"), lines
