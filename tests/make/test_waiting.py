"""Tests that a long step of make shows that it is under way."""

import fcntl
import re
import threading

import pytest

from proc import executable, put, wait_until
from slipway.make import audit, image, requirements, virtualenv, waiting


@pytest.fixture
def lines(monkeypatch, capsys):
    """Return a function that returns what has been said on stderr; a line is due every 0.05 s."""
    monkeypatch.setattr(waiting, "EVERY", 0.05)
    said = []

    def lines():
        said.extend(capsys.readouterr().err.splitlines())
        return said

    return lines


def test_a_long_step(lines):
    """It says how long the step has lasted; nothing after its end, however it ends, and nothing of a short one."""
    threads = threading.active_count()
    with pytest.raises(RuntimeError), waiting.still("at it"):
        wait_until(lambda: len(lines()) >= 2, what="it has been said twice")
        raise RuntimeError
    assert all(re.fullmatch(r"make: still at it, for \d+ s", line) for line in lines())
    assert threading.active_count() == threads
    lines().clear()
    with waiting.still("at it"):
        pass
    assert lines() == []


def test_the_long_steps_of_make(tmp_path, monkeypatch, lines):
    """Installing, the wait for another make, uv's lock, wheels, an audit: each says what it is at."""
    monkeypatch.chdir(tmp_path)

    def is_said(step):
        return any(re.fullmatch(rf"make: still {step}, for \d+ s", line) for line in lines())

    slow = str(executable(tmp_path / "slow", "#!/bin/sh\nsleep 0.3\n"))
    env = {"VE": "ve", "MADE_FOR": "x", "INSTALLER": slow, "PIP_ARGS": "", "REQUIREMENTS_UV": "", "PYTHON": "python3"}
    put(tmp_path / "requirements.txt", "")
    put(tmp_path / "ve/made-for", "x")
    executable(tmp_path / "ve/bin/python", "")
    virtualenv.install(tmp_path / "ve/sentinel", ["requirements.txt"], env)
    assert is_said("installing requirements.txt")
    with open("ve.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        threading.Timer(0.3, fcntl.flock, [file, fcntl.LOCK_UN]).start()
        with virtualenv.lock(tmp_path / "ve"):
            assert is_said("waiting for another make")
    requirements.run_uv(env, "lock")
    assert is_said("at uv lock")
    audit.main([slow])
    assert is_said("asking for known vulnerabilities")
    values = dict.fromkeys(["PLATFORM", "WHEEL_ARGS", "REQUIREMENTS", "REQUIREMENTS_DEV"], "")
    with pytest.raises(SystemExit):
        image.make_wheels(
            {**values, "DOCKER": "sh -c 'sleep 0.3; exit 3'", "IMAGE": "x"}, None, put(tmp_path / "new/x").parent
        )
    assert is_said("making wheels of the pins")
