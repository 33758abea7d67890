"""Tests of how `make demo` ends where it cannot go on; tests/e2e/test_demo.py plays it."""

import pytest

from demo import __main__ as demo
from slipway.fleet.docker import FleetError


@pytest.fixture
def ended(tmp_path, monkeypatch, capsys):
    """Return ended(error): the line, and the output, of a demo that this error ends."""
    monkeypatch.setattr(demo, "ROOT", tmp_path)
    monkeypatch.setattr(demo, "LOG", tmp_path / "var/demo.log")
    monkeypatch.setattr(demo.sys, "argv", ["demo"])

    def docker(*words):
        return demo.subprocess.CompletedProcess(words, 0, words[-1].rpartition("=")[2].replace("*", ":1\n"), "")

    def ended(error):
        def attach():
            raise error

        monkeypatch.setattr(demo, "attach", attach)
        monkeypatch.setattr(demo, "docker", docker)
        with pytest.raises(SystemExit) as raised:
            demo.main()
        return str(raised.value), capsys.readouterr().out

    return ended


@pytest.mark.parametrize(
    "error, cause",
    [
        (
            AssertionError("slipway deploy v1\nstep 1\n" + "much\n" * 99 + "slipway: v1 was taken back"),
            "slipway deploy v1: slipway: v1 was taken back",
        ),
        (AssertionError("not within 120 s: 160 visitors: None"), "not within 120 s: 160 visitors: None"),
        (
            FleetError("docker build … failed (1): a\nb\nno space left on device"),
            "docker build … failed (1): a: no space left on device",
        ),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (KeyError(), "KeyError"),
    ],
)
def test_one_line_says_why(ended, tmp_path, error, cause):
    """The rest is in a file. Whatever happens, it says which images stay, and how they are removed."""
    line, output = ended(error)
    assert line == f"demo: {cause}; all of it: var/demo.log; on a busy machine try again"
    assert type(error).__name__ in (tmp_path / "var/demo.log").read_text()
    assert output.splitlines()[-1].endswith("To remove them: docker image rm slipway-demo:1 fleet-:1")
