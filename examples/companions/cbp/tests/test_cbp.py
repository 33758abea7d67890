"""Tests of the program between real sockets: it forwards, refuses and drains."""

import os
import socket
import struct
import threading
import time
from contextlib import closing

import pytest

from conftest import COMMAND, FOLDER
from proc import UV, run, running, wait_until

DATA = os.urandom(1_000_000) * 50


@pytest.mark.parametrize("name", ["cbp", "samlare", "tapemock"])
def test_by_name(tmp_path, name):
    """A companion runs by its name in any folder."""
    said = run([f"{UV}x", "--from", FOLDER.parent, name, "--help"], cwd=tmp_path).stdout
    assert said.startswith(f"usage: {name} ")


def test_passes_both_ways(cbp):
    """Bytes arrive unchanged in both directions, also those that a client sends before it is connected. If one side
    ends its half of the connection, the other side sees that end."""
    with cbp.service() as accept, cbp.up():
        for _ in range(20):
            with cbp.connect() as client:
                client.sendall(b"ask")
                client.shutdown(socket.SHUT_WR)
                with accept() as server:
                    assert (server.recv(10), server.recv(10)) == (b"ask", b"")
                    cbp.until(connected=1)
                    server.sendall(b"answer")
                assert (client.recv(10), client.recv(10)) == (b"answer", b"")
        cbp.until(connected=0, accepted=20)


def test_reset_is_passed_on(cbp):
    """If one side resets the connection, the other sees a reset, not a normal end."""
    with cbp.service() as accept, cbp.up(), cbp.connect() as client, accept() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.close()
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_slow_reader(cbp):
    """A side that does not read slows the other, and cbp's memory does not grow. Later all arrives, even after TERM."""
    with cbp.service() as accept, cbp.up(), cbp.connect() as client, accept() as server:
        sending = threading.Thread(target=lambda: (client.sendall(DATA), client.close()))
        sending.start()
        sending.join(1)
        assert sending.is_alive() and int(run(["ps", "-o", "rss=", "-p", cbp.process.pid]).stdout) < 60_000
        cbp.process.terminate()
        received = b"".join(iter(lambda: server.recv(1 << 20), b""))
        sending.join()
    assert received == DATA


def test_a_redis_that_is_killed(cbp, tmp_path):
    """cbp opens and refuses at once. After each pause one client may try; if it succeeds, all may."""
    redis = ["redis-server", "--bind", "127.0.0.1", "--port", cbp.remote, "--save", ""]
    with cbp.up("-t", ".05", "--least", "3"):
        with running(redis, cwd=tmp_path) as server:
            wait_until(cbp.pings)
            server.kill()
            wait_until(lambda: not cbp.pings() and cbp.metrics()["state"] == "open")
        wait_until(lambda: not cbp.pings() and cbp.metrics()["refused"])
        wait_until(lambda: not cbp.pings() and cbp.metrics()["pause"] >= 2)
        with running(redis, cwd=tmp_path):
            wait_until(cbp.pings)
            cbp.until(state="closed")
        said = cbp.process.output()
        assert "open for 1 s: " in said and "open for 2 s" in said and "closed: " in said


def test_name_that_can_be_none(cbp):
    """A try that ends with an unexpected error resets its client and counts as a failure."""
    with cbp.up("-r", "a..b:1", "--least", "1"):
        assert not cbp.pings()
        cbp.until(state="open", failed=1)


def test_hung_service(cbp):
    """If a service accepts no connection, a try fails after --connect seconds; no other client waits meanwhile."""
    with socket.socket() as service:
        service.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        service.bind(("127.0.0.1", cbp.remote))
        service.listen(0)
        with (
            closing(socket.create_connection(("127.0.0.1", cbp.remote))),  # its queue is full
            cbp.up("--connect", ".3", "--least", "1"),
        ):
            began = time.monotonic()
            assert not cbp.pings() and time.monotonic() - began >= 0.3
            cbp.until(state="open", failed=1)
            wait_until(lambda: not cbp.pings() and cbp.metrics()["failed"] == 2)
            cbp.until(trips=2, pause=2)


def test_drain(cbp):
    """After TERM cbp refuses new clients and exits after the last one. After a second TERM it exits at once."""
    for ends in (lambda *sides: [side.close() for side in sides], lambda *_: cbp.process.terminate()):
        with cbp.service() as accept, cbp.up(), cbp.connect() as client, accept() as server:
            cbp.until(connected=1)
            cbp.process.terminate()
            wait_until(lambda: "draining 1" in cbp.process.output())
            with pytest.raises(ConnectionRefusedError):
                cbp.connect()
            client.sendall(b"x")
            assert server.recv(1) == b"x" and cbp.process.poll() is None
            ends(client, server)
            assert cbp.process.wait(60) == 0


def test_drain_is_limited(cbp):
    with cbp.service() as accept, cbp.up("--drain", ".3"), cbp.connect(), accept():
        cbp.until(connected=1)
        cbp.process.terminate()
        assert cbp.process.wait(60) == 0


@pytest.mark.parametrize(
    "options, reported",
    [
        (["-l", "8000", "-r", "x:1"], "'8000' should be HOST:PORT, such as localhost:6379"),
        (["-l", "x:1", "-r", "x:1", "-t", "5"], "'5' should be a share: .05 for 5 %"),
        (["-l", "192.0.2.1:1", "-r", "x:1"], "cbp: cannot listen: "),
    ],
)
def test_faults(options, reported):
    done = run([*COMMAND, *options], cwd=FOLDER)
    assert done.returncode and reported in done.stderr and "Traceback" not in done.stderr, done.stderr
