"""Tests of the load generator, on which all tests under load depend."""

import contextlib
import socket
import socketserver
import struct

import pytest

from connect import served
from e2e.fleet.load import Load
from proc import free_port

pytestmark = pytest.mark.rare  # the load generator changes seldom


@contextlib.contextmanager
def server(answer):
    """Run a server that calls `answer(socket)` for each connection after it has read a request. Yield its URL."""

    def handle(connection, *_):
        connection.recv(1000)
        answer(connection)

    with served(socketserver.ThreadingTCPServer(("127.0.0.1", 0), handle)) as listening:
        listening.daemon_threads = True
        yield f"http://127.0.0.1:{listening.server_address[1]}/"


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize(
    "cause, answer",
    [
        ("reset", reset),
        ("timeout", lambda connection: [*iter(lambda: connection.recv(1000), b"")]),
        ("cut short", lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")),
        ("http 500", lambda connection: connection.sendall(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")),
    ],
)
def test_a_failure_is_told_by_its_cause(cause, answer):
    """Each failure is counted by its cause, once for every request, and none is retried. A closed port is "refused". If
    a request may not fail, the block does."""
    with server(answer) as url, Load(url, may_fail=True, rate=20, seconds=1, timeout=1) as load:
        assert load.finish().causes == {cause: 20}
    with (
        pytest.raises(AssertionError, match="10 requests, failed: "),
        Load(f"http://127.0.0.1:{free_port()}/", rate=10, seconds=1) as load,
    ):
        assert load.finish().causes == {"refused": 10}


def test_a_late_answer_of_the_old_release_is_seen():
    """Answers are counted by release, and an answer of v1 after v2's first is late."""
    releases = iter(["v1"] * 10 + ["v2"] * 5 + ["v1"] * 5)
    with (
        server(
            lambda connection: connection.sendall(
                f"HTTP/1.1 200 OK\r\nX-Release: {next(releases)}\r\nContent-Length: 0\r\n\r\n".encode()
            )
        ) as url,
        Load(url, rate=20, seconds=1, post_every=0) as load,
    ):
        result = load.finish()
    assert result.releases == {"v1": 15, "v2": 5} and result.late("v1", "v2")
