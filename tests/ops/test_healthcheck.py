"""slipway/healthcheck.py: what it says of a container, without one."""

import os
import socket
import sys
import threading

import pytest

from proc import ROOT, run

# Its files lie in folders of the test's instead of the container's /dev/shm.
PROGRAM = """import sys
from pathlib import Path
from slipway import healthcheck
healthcheck.ROLE, healthcheck.ALIVE = Path(sys.argv[1], "role"), Path(sys.argv[1], "alive")
healthcheck.main(*sys.argv[2:])
"""


@pytest.fixture
def check(tmp_path):
    """check(): exit code and stderr of a healthcheck of what the test has put into its folder."""
    def check(*words, **env):
        done = run([sys.executable, "-c", PROGRAM, tmp_path, *words], cwd=ROOT, env={**os.environ, **env})
        return done.returncode, done.stderr.strip()
    return check


def test_any_other_command_is_well(check):
    """Nothing is known of it, but that it runs. Where a deploy asks for beat, that has not started yet."""
    assert check() == (0, "")
    assert check("beat") == (1, "healthcheck: beat has not started yet")


@pytest.mark.parametrize("role", ["worker", "beat"])
def test_worker_and_beat_are_as_well_as_their_last_round(check, tmp_path, role):
    """Started and without a round yet, or one long ago: not well, and why."""
    (tmp_path / "role").write_text(role)
    assert check() == (1, f"healthcheck: {role} has not started yet")
    (tmp_path / "alive").touch()
    assert check() == (0, "")
    os.utime(tmp_path / "alive", (1, 1))
    code, said = check()
    assert code == 1 and said.startswith(f"healthcheck: {role} was last alive ")


@pytest.mark.parametrize("status, code, said", [
    (200, 0, ""), (500, 1, "healthcheck: /healthz answers 500"), (None, 1, "healthcheck: the site does not answer: ")])
def test_a_site_is_as_well_as_its_answer(check, tmp_path, status, code, said):
    """On its own socket: 200 alone is well."""
    (tmp_path / "role").write_text("web")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        if status:
            listening.listen()
        threading.Thread(target=answer, args=(listening, status), daemon=True).start()
        found = check(SOCKET=str(tmp_path / "s"))
    assert found[0] == code and found[1].startswith(said), found


def answer(listening, status):
    """One answer, if there is a status."""
    if status:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
