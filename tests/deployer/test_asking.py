"""The ways in which a process shows that it works: real ports, and an engine that says what a container is like."""

import contextlib
import json
import socket
import threading
import time

import pytest

from slipway.deploy.agent import engine
from slipway.deploy.agent.host import Host, Problem
from slipway.deploy.agent.steps import asking

SITE = ("https", "shop.example")


@pytest.fixture
def ask(monkeypatch):
    """ask(ready): what is said of the container that `ask.found` describes; `ask.ran` are the words run in it."""
    def call(host, method, path, login=None, seconds=60, given=None):
        if path == "/containers/shop-alerts/json":
            return (200, json.dumps(ask.found)) if ask.found else (404, "{}")
        if given and "Cmd" in given:
            ask.ran = given["Cmd"]
        return 200, json.dumps({"Id": "2", "ExitCode": ask.code})
    monkeypatch.setattr(engine, "call", call)

    def ask(ready):
        return asking.problem_of(Host("shop"), "shop-alerts", ready, SITE)
    ask.found = {"Id": "1", "State": {"Running": True, "StartedAt": started(100)},
                 "Config": {"Entrypoint": ["/run.sh"]},
                 "NetworkSettings": {"Networks": {"host": {"IPAddress": ""}, "bridge": {"IPAddress": "127.0.0.1"}}}}
    ask.code = 0
    return ask


def started(age):
    """Docker's words for so many seconds ago."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - age)) + ".123456789Z"


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


def closed():
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.mark.parametrize("ready", ["seconds 0", "file", "port 1", "http /", "healthcheck"])
def test_a_container_that_does_not_run(ask, ready):
    """Whatever the way: it has ended, or there is none."""
    ask.found["State"]["Running"] = False
    assert ask(ready) == "does not run"
    ask.found = None
    assert ask(ready) == "does not run"


def test_an_engine_that_does_not_answer(ask, monkeypatch):
    """It is asked again: that is no end."""
    def call(*words, **options):
        raise Problem("Docker does not answer")
    monkeypatch.setattr(engine, "call", call)
    assert ask("file") == "cannot be asked: Docker does not answer"


@pytest.mark.parametrize("age, said", [(100, ""), (6, ""), (3, "has run for only ")])
def test_seconds(ask, age, said):
    """Counted from the container's start."""
    ask.found["State"]["StartedAt"] = started(age)
    assert ask("seconds 5").startswith(said) and bool(ask("seconds 5")) == bool(said)


@pytest.mark.parametrize("ready, words, said", [
    ("file", ["test", "-e", "/dev/shm/ready"], "has not made its READY_FILE, /dev/shm/ready"),
    ("healthcheck beat", ["/run.sh", "healthcheck", "beat"], "is not healthy")])
def test_what_is_asked_in_the_container(ask, ready, words, said):
    """Its file, or its own healthcheck."""
    assert ask(ready) == "" and ask.ran == words
    ask.code = 1
    assert ask(ready) == said


def test_a_port(ask):
    """Somebody listens at the container's own address, or nobody does."""
    with answering() as (port, _):
        assert ask(f"port {port}") == ""
    assert ask(f"port {closed()}").startswith("does not listen at port ")


@pytest.mark.parametrize("status, said", [("200 OK", ""), ("302 Found", ""), ("503 Busy", "answers 503 to /health")])
def test_a_path(ask, status, said):
    """It is asked as the site's visitors ask; 2xx and 3xx are well."""
    with answering(f"HTTP/1.1 {status}\r\n\r\n".encode()) as (port, asked):
        assert ask(f"http :{port}/health") == said
    assert asked[0].startswith("GET /health HTTP/1.0\r\nHost: shop.example\r\n")


def test_a_path_where_nobody_listens(ask, monkeypatch):
    """Without a port it is the image's."""
    monkeypatch.setattr(asking, "PORT", closed())
    assert ask("http /").startswith("answers no answer: ")
