"""slipway/health/healthcheck.py: what it says of a container, without one."""

import contextlib
import os
import socket
import sys
import threading

import pytest

from proc import ROOT, run

# Its files lie in folders of the test's instead of the container's /dev/shm.
PROGRAM = """import sys
from pathlib import Path
from slipway.health import healthcheck
for name in ("role", "alive", "been-ready"):
    setattr(healthcheck, name.upper().replace("-", "_"), Path(sys.argv[1], name))
healthcheck.main(*sys.argv[2:])
"""


@pytest.fixture
def check(tmp_path):
    """check(): exit code and stderr of a healthcheck of what the test has put into its folder."""
    def check(*words, **env):
        done = run([sys.executable, "-c", PROGRAM, tmp_path, *words], cwd=ROOT, env={**os.environ, **env})
        return done.returncode, done.stderr.strip()
    return check


@pytest.mark.parametrize("role", ["worker", "beat"])
def test_worker_and_beat_are_as_well_as_their_last_round(check, tmp_path, role):
    """Started and without a round yet, or one long ago: not well, and why. Of any other command nothing is known, but
    that it runs; where a deploy asks for a role, that has not started yet."""
    assert check() == (0, "") and check(role) == (1, f"healthcheck: {role} has not started yet")
    (tmp_path / "role").write_text(role)
    assert check() == (1, f"healthcheck: {role} has not started yet")
    (tmp_path / "alive").touch()
    assert check() == (0, "")
    os.utime(tmp_path / "alive", (1, 1))
    code, said = check()
    assert code == 1 and said.startswith(f"healthcheck: {role} was last alive ")


def test_ready_asks_for_more_until_it_was_ready_once(check, tmp_path):
    """/readyz, with a line that says what it answers, until that was 200; from then on /healthz alone, unless that
    cannot be kept. Beat is ready when it turns."""
    assert check("ready") == (1, "healthcheck: neither web, worker nor beat has started yet")
    (tmp_path / "role").write_text("web")
    assert check(SOCKET=str(tmp_path / "s"))[1].startswith("healthcheck: the site does not answer: ")
    with answering(str(tmp_path / "s"), [503, 200, 503, 200]) as (_, asked):
        told = [check("ready", SOCKET=str(tmp_path / "s")) for _ in range(4)]
    assert told == [(1, "healthcheck: /readyz answers 503"), (0, ""), (1, "healthcheck: /healthz answers 503"), (0, "")]
    assert asked == ["/readyz", "/readyz", "/healthz", "/healthz"]
    (tmp_path / "been-ready").unlink()
    (tmp_path / "been-ready").symlink_to("nowhere/at/all")
    (tmp_path / "role").write_text("beat")
    assert check("ready") == (1, "healthcheck: beat has not started yet")
    (tmp_path / "alive").touch()
    assert check("ready") == (0, "")


def test_a_worker_is_ready_when_it_takes_tasks(check, tmp_path):
    """Once; from then on its rounds count."""
    (tmp_path / "role").write_text("worker")
    (tmp_path / "alive").touch()
    said = tmp_path / "worker.ready"
    assert check("ready")[1] == "healthcheck: READY_FILE is not set, so nothing can be told by it"
    assert check("ready", READY_FILE=str(said)) == (1, "healthcheck: it has not made its READY_FILE")
    said.write_text("paused v1")
    assert check("ready", READY_FILE=str(said)) == (1, "healthcheck: worker takes no tasks yet")
    said.write_text("consuming v1")
    assert check("ready", READY_FILE=str(said)) == (0, "")
    said.write_text("paused v1")
    assert check("ready", READY_FILE=str(said)) == (0, "")
    os.utime(tmp_path / "alive", (1, 1))
    assert check("ready", READY_FILE=str(said))[1].startswith("healthcheck: worker was last alive ")


def test_a_process_of_a_teams_is_ready_as_the_toml_says(check, tmp_path):
    """Each way that docs/tasks.md has; once it was, nothing is asked any more."""
    with socket.socket() as listening, answering(("127.0.0.1", 0), [404, 302, 200]) as (number, _):
        listening.bind(("127.0.0.1", 0))
        closed = listening.getsockname()[1]
        for how, said in (
                (f"http :{number}/ill", "it answers 404 to /ill"),
                (f"port {closed}", f"it does not listen at port {closed}: Connection refused"),
                (f"http :{closed}/well", "it does not answer: [Errno 111] Connection refused"),
                ("file", "it has not made its READY_FILE"), ("seconds 2000000000", "it has run for only "),
                *((wrong, f"'{wrong}' is none of: seconds N, file, port N, http [:N]/PATH")
                  for wrong in ("port", "port x", "nothing", "seconds -", "http :x/"))):
            code, told = check("ready", how, READY_FILE=str(tmp_path / "file"))
            assert code == 1 and told.startswith(f"healthcheck: {said}") and "\n" not in told, (how, told)
        (tmp_path / "file").touch()
        for how in (f"http :{number}/well", f"port {number}", "seconds 0", "file"):
            assert check("ready", *how.split(), READY_FILE=str(tmp_path / "file")) == (0, ""), how
            (tmp_path / "been-ready").unlink()
        assert check("ready", f"port {number}") == (0, "")
        assert check("ready", f"port {closed}") == (0, "")


@contextlib.contextmanager
def answering(address, statuses):
    """A site on a unix socket, or at a port, that gives these answers, one after the other. Yields its port and the
    paths it was asked for."""
    asked = []
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as listening:
        listening.bind(address)
        listening.listen()
        threading.Thread(target=answer, args=(listening, statuses, asked), daemon=True).start()
        yield listening.getsockname()[1], asked


def answer(listening, statuses, asked):
    """One answer for each status."""
    for status in statuses:
        connection, _ = listening.accept()
        with connection:
            asked.append((connection.recv(65536).split() or [b"", b""])[1].decode())
            connection.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
