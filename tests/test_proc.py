"""What the tests here rely on, themselves."""

import signal
import subprocess
import sys

import pytest

from proc import ROOT, run, running, wait_until

STOPS = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM)


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_ends_what_a_test_started(number):
    """None is ignored from the start, as what is ignored a child goes on to ignore, and a shell cannot trap."""
    with running(["sleep", "60"]) as process:
        process.send_signal(number)
        assert process.wait(10) == -number


def test_signals_under_nohup():
    """The same where the tests are in the background of a script, as by `nohup make test &`."""
    names = " ".join(number.name[3:] for number in STOPS[:-1])
    words = [sys.executable, "-m", "pytest", "-q", __file__, "-k", "ends_what"]
    done = run(["sh", "-c", f"trap '' {names}; exec \"$@\"", "sh", *words], cwd=ROOT)
    assert done.returncode == 0 and "4 passed" in done.stdout, done.stdout + done.stderr


def test_a_failure_tells_what_its_processes_said():
    """What waits for a process that has ended fails with the cause, and not only with the seconds."""
    with pytest.raises(AssertionError) as caught, running(["sh", "-c", "echo no such table >&2; exit 3"]) as process:
        process.wait(10)
        raise AssertionError("not within 60 s")
    assert "no such table" in caught.value.__notes__[0] and "ended with 3" in caught.value.__notes__[0]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere none is kept")
def test_a_port_is_given_once():
    """Where tests run side by side, too: a server that is slow to start finds its port free."""
    ask = "from proc import free_port; print(*(free_port() for _ in range(200)), 'all', flush=True); input()"
    words, here = [sys.executable, "-c", ask], {"cwd": ROOT / "tests", "stdin": subprocess.PIPE}
    with running(words, **here) as one, running(words, **here) as other:
        wait_until(lambda: "all" in one.output() and "all" in other.output())
        ports = [int(port) for process in (one, other) for port in process.output().split()[:-1]]
    assert len({*ports}) == len(ports) == 400
