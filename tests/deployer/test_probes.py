"""The ways in which a process shows that it works: real ports, and an engine that says what a container is like."""

import contextlib
import json
import socket
import threading
import time

import pytest

from slipway.deploy.agent import docker
from slipway.deploy.agent.host import Host, Problem
from slipway.deploy.agent.steps import probes

WAYS = ["seconds 0", "file", "port 1", "http /", "healthcheck"]


@pytest.fixture
def ask(monkeypatch):
    """ask(ready, …): what is said of a container so many seconds old, whose commands end with `code`; `ask.ran` are the
    words run in it."""
    def ask(ready, running=True, there=True, age=100, code=0, problem=None):
        began = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - age)) + ".123456789Z"
        found = {"Id": "1", "State": {"Running": running, "StartedAt": began}, "Config": {"Entrypoint": ["/run.sh"]},
                 "NetworkSettings": {"Networks": {"host": {"IPAddress": ""}, "bridge": {"IPAddress": "127.0.0.1"}}}}

        def call(host, method, path, login=None, seconds=60, given=None):
            if problem:
                raise problem
            if path == "/containers/shop-alerts/json":
                return (200, json.dumps(found)) if there else (404, "{}")
            ask.ran = (given or {}).get("Cmd", ask.ran)
            return 200, json.dumps({"Id": "2", "ExitCode": code})
        monkeypatch.setattr(docker, "call", call)
        return probes.problem_of(Host("shop"), "shop-alerts", ready, ("https", "shop.example"))
    ask.ran = None
    return ask


@contextlib.contextmanager
def answering(answer=b""):
    """The port of a server that gives this answer, once; asked[0] is what it was asked."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def once():
            connection, _ = listening.accept()
            with connection:
                asked.append(connection.recv(65536).decode())
                connection.sendall(answer)
        asked = []
        threading.Thread(target=once, daemon=True).start()
        yield listening.getsockname()[1], asked


@pytest.mark.parametrize("ready, container, said, ran", [
    *((ready, {"running": False}, "does not run", None) for ready in WAYS),
    *((ready, {"there": False}, "does not run", None) for ready in WAYS),
    ("file", {"problem": Problem("Docker is away")}, "cannot be asked: Docker is away", None),
    ("seconds 5", {"age": 100}, "", None), ("seconds 5", {"age": 6}, "", None),
    ("seconds 9", {"age": 3}, "has run for only ", None),
    ("file", {}, "", ["test", "-e", "/dev/shm/ready"]),
    ("file", {"code": 1}, "has not made its READY_FILE, /dev/shm/ready", ["test", "-e", "/dev/shm/ready"]),
    ("healthcheck beat", {}, "", ["/run.sh", "healthcheck", "beat"]),
    ("healthcheck beat", {"code": 1}, "is not healthy", ["/run.sh", "healthcheck", "beat"])])
def test_what_the_engine_says(ask, ready, container, said, ran):
    """Of its container, of its age, and of a command that is run in it. An engine that is away is asked again."""
    told = ask(ready, **container)
    assert told.startswith(said) and bool(told) == bool(said) and ask.ran == ran, told


@pytest.mark.parametrize("status, said", [("200 OK", ""), ("302 Found", ""), ("503 Busy", "answers 503 to /health")])
def test_a_port(ask, monkeypatch, status, said):
    """Somebody listens at the container's own address. A path is asked as the site's visitors ask; 2xx and 3xx are
    well. Without a port it is the image's."""
    with answering() as (port, _):
        assert ask(f"port {port}") == ""
    with socket.socket() as held:  # nobody else can listen there meanwhile
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        assert ask(f"port {port}").startswith("does not listen at port ")
        monkeypatch.setattr(probes, "PORT", port)
        assert ask("http /").startswith("answers no answer: ")
    with answering(f"HTTP/1.1 {status}\r\n\r\n".encode()) as (port, asked):
        assert ask(f"http :{port}/health") == said
    assert asked[0].startswith("GET /health HTTP/1.0\r\nHost: shop.example\r\n")
