"""The agent's requests over real unix sockets, with answers as servers give them; and its checks of processes."""

import contextlib
import json
import os
import socket
import threading
import time

import pytest

from connect import answer, listen
from slipway.deploy.agent import docker, http, strangers
from slipway.deploy.agent.host import Host, Problem
from slipway.deploy.agent.steps import probes

READY = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"release": "v2"}'


@pytest.fixture
def server(tmp_path):
    """server(said): the path of a socket that gives this answer once."""
    with listen(tmp_path / "web.sock") as listening:

        def serve(message):
            answer(listening, [message])
            return listening.getsockname()

        yield serve


@pytest.mark.parametrize(
    "answered, message",
    [
        (READY.replace(b"v2", b"v1"), "/readyz answers as release v1"),
        (READY.replace(b"200 OK", b"503 Unavailable"), "/readyz answers 503"),
        (READY[:60], "/readyz answers as release None"),
        (b"HTTP/1.1 503 Unavailable\r\n\r\n" + b"[" * 50_000, "/readyz answers 503"),
        (b"", "/readyz answers no HTTP: b''"),
        (b"SSH-2.0-OpenSSH", "/readyz answers no HTTP: b'SSH-2.0-OpenSSH'"),
    ],
)
def test_a_release_that_is_not(server, answered, message):
    problem = http.readiness_problem(server(answered), "v2")
    assert str(problem) == message
    assert problem.details["status"] == http.ask(server(answered), "/")[0]


def test_nobody_answers(tmp_path):
    assert http.ask(str(tmp_path / "none.sock"), "/") == (0, "nothing: No such file or directory")


@pytest.mark.parametrize("pause", [0.01, 0.2])
def test_an_answer_without_an_end(tmp_path, pause):
    over, said = threading.Event(), []
    with listen(tmp_path / "web.sock") as listening:

        def drip():
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while not over.wait(pause):
                    connection.sendall(b".")

        threading.Thread(target=drip, daemon=True).start()
        asking = threading.Thread(
            target=lambda: said.append(http.ask(str(tmp_path / "web.sock"), "/", timeout=2)), daemon=True
        )
        asking.start()
        asking.join(20)
        over.set()
    assert said == [(0, "only in part within 2 s")]


def test_a_smoke_path_that_fails(server):
    http.smoke(server(b"HTTP/1.0 302 Found\r\n\r\n"), ["/"], ("http", "localhost"))
    with pytest.raises(Problem, match="/ answers 500") as caught:
        http.smoke(server(b"HTTP/1.0 500 No\r\n\r\nwhy"), ["/"], ("http", "localhost"))
    assert caught.value.details == {"status": 500, "body": "why"}


WAYS = ["seconds 0", "file", "port 1", "http /", "healthcheck"]


@pytest.fixture
def ask(monkeypatch, tmp_path):
    """ask(ready, …): the problem of a container that is `age` seconds old and whose commands exit with `code`."""

    def ask(ready, running=True, there=True, age=100, code=0, problem=None):
        (tmp_path / "proc/7").mkdir(parents=True, exist_ok=True)
        began = int((time.clock_gettime(time.CLOCK_BOOTTIME) - age) * os.sysconf("SC_CLK_TCK"))
        (tmp_path / "proc/7/stat").write_text(f"7 (a) b) S {'0 ' * 18}{began} 0\n")
        found = {
            "Id": "1",
            "State": {"Running": running, "Pid": 7},
            "Config": {"Entrypoint": ["/run.sh"], "Labels": {strangers.LABEL: ""}},
            "NetworkSettings": {"Networks": {"host": {"IPAddress": ""}, "bridge": {"IPAddress": "127.0.0.1"}}},
        }

        def call(host, method, path, login=None, seconds=60, given=None):
            if problem:
                raise problem
            if path == "/containers/shop-alerts/json":
                return (200, json.dumps(found)) if there else (404, "{}")
            ask.ran = (given or {}).get("Cmd", ask.ran)
            return 200, json.dumps({"Id": "2", "ExitCode": code})

        monkeypatch.setattr(docker, "call", call)
        return probes.problem_of(Host("shop", str(tmp_path)), "shop-alerts", ready, ("https", "shop.example"))

    ask.ran = None
    return ask


@pytest.mark.parametrize(
    "ready, container, message, ran",
    [
        *((ready, {"running": False}, "does not run", None) for ready in WAYS),
        *((ready, {"there": False}, "does not run", None) for ready in WAYS),
        ("file", {"problem": Problem("Docker is away")}, "cannot be checked: Docker is away", None),
        ("seconds 5", {"age": 5}, "", None),
        ("seconds 9", {"age": 3}, "has run for only ", None),
        ("file", {}, "", ["test", "-e", "/dev/shm/ready"]),
        ("file", {"code": 1}, "has not created its READY_FILE, /dev/shm/ready", ["test", "-e", "/dev/shm/ready"]),
        ("healthcheck beat", {}, "", ["/run.sh", "healthcheck", "beat"]),
        ("healthcheck beat", {"code": 1}, "is not healthy", ["/run.sh", "healthcheck", "beat"]),
    ],
)
def test_what_the_engine_says(ask, ready, container, message, ran):
    told = ask(ready, **container)
    assert told.startswith(message) and bool(told) == bool(message) and ask.ran == ran, told


@pytest.mark.parametrize("status, message", [("200 OK", ""), ("302 Found", ""), ("503 Busy", "answers 503 to /health")])
def test_a_port(ask, monkeypatch, status, message):
    with socket.socket() as held:  # no other process can listen there meanwhile
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        assert ask(f"port {port}").startswith("does not listen on port ")
        monkeypatch.setattr(probes, "PORT", port)
        assert ask("http /").startswith("answers nothing: ")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port, asked = listening.getsockname()[1], answer(listening, [b"", f"HTTP/1.1 {status}\r\n\r\n".encode()])
        assert (ask(f"port {port}"), ask(f"http :{port}/health")) == ("", message)
    assert asked[1].startswith("GET /health HTTP/1.0\r\nHost: shop.example\r\n")
