"""How the agent asks over a unix socket: real sockets, answers as servers give them."""

import contextlib
import socket
import threading

import pytest

from slipway.deploy.agent import http
from slipway.deploy.agent.host import Problem

READY = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"release": "v2"}'


@pytest.fixture
def server(tmp_path):
    """server(answer): the path of a socket that gives this answer, once; `server.asked` is what it was asked."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "web.sock"))
        listening.listen()

        def serve(answer):
            def once():
                connection, _ = listening.accept()
                with connection:
                    serve.asked = connection.recv(65536).decode()
                    for half in (answer[:10], answer[10:]):
                        connection.sendall(half)
            threading.Thread(target=once, daemon=True).start()
            return str(tmp_path / "web.sock")
        yield serve


def test_a_release_that_is_ready(server):
    """An answer in pieces, with its release, to a question that says for which site and through what it is asked."""
    assert http.not_ready(server(READY), "v2", ("https", "shop.example")) is None
    line, *fields = server.asked.strip().split("\r\n")
    assert line == "GET /readyz HTTP/1.0"
    assert {"Host: shop.example", "X-Forwarded-Proto: https", f"User-Agent: {http.AGENT}"} <= set(fields)


@pytest.mark.parametrize("answer, said", [
    (READY.replace(b"v2", b"v1"), "/readyz answers as release v1"),
    (READY.replace(b"200 OK", b"503 Unavailable"), "/readyz answers 503"),
    (READY[:60], "/readyz answers as release None"),
    (b"HTTP/1.1 503 Unavailable\r\n\r\n" + b"[" * 50_000, "/readyz answers 503"),
    (b"", "/readyz answers no answer: b''"),
    (b"SSH-2.0-OpenSSH", "/readyz answers no answer: b'SSH-2.0-OpenSSH'"),
])
def test_a_release_that_is_not(server, answer, said):
    """Another release, an error, half an answer, none, and what is no HTTP: each is a Problem, told with its body."""
    problem = http.not_ready(server(answer), "v2")
    assert str(problem) == said
    assert problem.more["status"] == http.ask(server(answer), "/")[0]


def test_nobody_answers(tmp_path, server):
    """No socket, and one that accepts and is silent: status 0 and why, within the time limit."""
    assert http.ask(str(tmp_path / "none.sock"), "/") == (0, "no answer: No such file or directory")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        assert http.ask(str(tmp_path / "silent.sock"), "/", timeout=0.1) == (0, "no answer: timed out")


@pytest.mark.parametrize("pause", [0.01, 0.2])
def test_an_answer_without_an_end(tmp_path, pause):
    """One that drips, quickly or slowly, is given up after its time, however often a little comes."""
    over, said = threading.Event(), []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "web.sock"))
        listening.listen()

        def drip():
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while not over.wait(pause):
                    connection.sendall(b".")
        threading.Thread(target=drip, daemon=True).start()
        asking = threading.Thread(target=lambda: said.append(http.ask(str(tmp_path / "web.sock"), "/", timeout=0.5)),
                                  daemon=True)
        asking.start()
        asking.join(20)
        over.set()
    assert said == [(0, "without an end within 0.5 s")]


def test_a_smoke_path_that_fails(server):
    """A status of 400 or more is a Problem with status and body; a redirect is an answer."""
    http.smoke(server(b"HTTP/1.0 302 Found\r\n\r\n"), ["/"], ("http", "localhost"))
    with pytest.raises(Problem, match="/ answers 500") as caught:
        http.smoke(server(b"HTTP/1.0 500 No\r\n\r\nwhy"), ["/"], ("http", "localhost"))
    assert caught.value.more == {"status": 500, "body": "why"}
