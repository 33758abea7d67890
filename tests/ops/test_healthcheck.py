"""Tests of slipway/health/healthcheck.py without a container."""

import contextlib
import os
import socket
import time

import pytest

from connect import answer, listen
from slipway.health import healthcheck


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Return check(), which runs the healthcheck with the test's folder as /dev/shm and returns its error, or "" if it
    is healthy."""
    for name in ("role", "alive", "been-ready"):
        monkeypatch.setattr(healthcheck, name.upper().replace("-", "_"), tmp_path / name)
    monkeypatch.setenv("READY_FILE", str(tmp_path / "file"))
    monkeypatch.setenv("SOCKET", str(tmp_path / "s"))

    def check(*words):
        code = 0
        with contextlib.suppress(SystemExit):
            code = 1
            healthcheck.main(*words)
            code = 0
        said = capsys.readouterr().err.strip()
        assert (code == 0) == (said == "") and "\n" not in said
        return said

    return check


def of_status(status):
    return f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize("role", ["worker", "beat"])
def test_worker_and_beat_are_as_well_as_their_last_round(check, tmp_path, monkeypatch, role):
    """Both are unhealthy, with the reason, before their first round and long after their last. Another command is
    healthy while it runs, unless a deploy asks for a role, which then has not started yet."""
    not_yet = f"healthcheck: {role} has not started yet"
    assert (check(), check(role)) == ("", not_yet)
    (tmp_path / "role").write_text(role)
    assert check() == not_yet
    monkeypatch.setenv("ROLE", role)
    healthcheck.note_alive()
    assert check() == ""
    os.utime(tmp_path / "alive", (time.time() - 61,) * 2)
    assert check().startswith(f"healthcheck: {role} was last alive 6")  # 61 s, or a few more


def test_ready_asks_for_more_until_it_was_ready_once(check, tmp_path):
    """/readyz is asked, and its answer reported, until it was 200; from then on only /healthz, unless that cannot be
    stored. Beat is ready after its first round."""
    assert check("ready") == "healthcheck: neither web, worker nor beat has started yet"
    (tmp_path / "role").write_text("web")
    assert check().startswith("healthcheck: the site does not answer: ")
    with listen(tmp_path / "s") as listening:
        asked = answer(listening, map(of_status, (503, 200, 503, 200)))
        told = [check("ready") for _ in range(4)]
    assert told == ["healthcheck: /readyz answers 503", "", "healthcheck: /healthz answers 503", ""]
    assert [request.split()[1] for request in asked] == ["/readyz", "/readyz", "/healthz", "/healthz"]
    (tmp_path / "been-ready").unlink()
    (tmp_path / "been-ready").symlink_to("nowhere/at/all")
    (tmp_path / "role").write_text("beat")
    assert check("ready") == "healthcheck: beat has not started yet"
    (tmp_path / "alive").touch()
    assert check("ready") == ""


def test_a_worker_is_ready_when_it_takes_tasks(check, tmp_path):
    """A worker must be ready only once; then only its rounds count."""
    (tmp_path / "role").write_text("worker")
    (tmp_path / "alive").touch()
    assert check("ready") == "healthcheck: the process has not created its READY_FILE"
    for state, said in (("paused", "healthcheck: worker takes no tasks yet"), ("consuming", ""), ("paused", "")):
        (tmp_path / "file").write_text(f"{state} v1")
        assert check("ready") == said
    os.utime(tmp_path / "alive", (0, 0))
    assert check("ready").startswith("healthcheck: worker was last alive ")


def test_a_process_of_a_teams_is_ready_as_the_toml_says(check, tmp_path):
    """Each way of docs/tasks.md works. Once the process was ready, it is not asked again."""
    with socket.socket() as held, socket.create_server(("127.0.0.1", 0)) as listening:
        answer(listening, map(of_status, (404, 302, 200)))
        held.bind(("127.0.0.1", 0))
        closed, number = held.getsockname()[1], listening.getsockname()[1]
        for how, said in (
            (f"http :{number}/ill", "the process answers 404 to /ill"),
            (f"port {closed}", f"port {closed}: [Errno 111] Connection refused"),
            (f"http :{closed}/well", f"http :{closed}/well: [Errno 111] Connection refused"),
            ("file", "the process has not created its READY_FILE"),
            ("seconds 2000000000", "the process has run "),
            *((wrong, f"'{wrong}' is none of: seconds N, ") for wrong in ("port x", "nothing", "http :x/")),
        ):
            assert check("ready", how).startswith(f"healthcheck: {said}"), how
        (tmp_path / "file").touch()
        for how in (f"http :{number}/well", f"port {number}", "seconds 0", "file"):
            assert check("ready", *how.split()) == "", how
            (tmp_path / "been-ready").unlink()
        assert check("ready", f"port {number}") == check("ready", f"port {closed}") == ""
