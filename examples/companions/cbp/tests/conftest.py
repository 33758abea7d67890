"""cbp in front of a service that a test controls."""

import json
import socket
import sys
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from proc import free_port, running, wait_until

COMMAND, FOLDER = [sys.executable, "-m", "cbp"], Path(__file__).resolve().parent.parent
socket.setdefaulttimeout(60)


class Cbp:
    """cbp on its own ports, in front of a service at the port `remote`."""

    def __init__(self):
        self.port, self.vars, self.remote, self.process = free_port(), free_port(), free_port(), None

    @contextmanager
    def up(self, *options):
        command = [
            *COMMAND,
            "-l",
            f"127.0.0.1:{self.port}",
            "-r",
            f"127.0.0.1:{self.remote}",
            "--vars",
            f"127.0.0.1:{self.vars}",
            *options,
        ]
        with running(command, cwd=FOLDER) as self.process:
            wait_until(self.metrics)
            yield self
            said = self.process.output()
            assert "Traceback" not in said and "Task" not in said, said

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.vars}/debug/vars") as answer:
            return json.load(answer)["cbp"]

    def until(self, **expected):
        """Wait until cbp's metrics have these values."""
        wait_until(lambda: expected.items() <= self.metrics().items())

    def connect(self):
        return closing(socket.create_connection(("127.0.0.1", self.port)))

    def pings(self):
        """Return whether Redis answers through cbp."""
        try:
            with self.connect() as client:
                client.sendall(b"PING\r\n")
                return client.recv(10) == b"+PONG\r\n"
        except ConnectionError:
            return False

    @contextmanager
    def service(self):
        """Listen at `remote`. Yield a function that accepts a connection."""
        with closing(socket.create_server(("127.0.0.1", self.remote), backlog=100)) as server:
            yield lambda: closing(server.accept()[0])


@pytest.fixture
def cbp():
    return Cbp()
