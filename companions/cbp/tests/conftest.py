"""cbp before a service that does as it is told."""

import json
import socket
import socketserver
import sys
import threading
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from proc import free_port, running, wait_until

FOLDER = Path(__file__).resolve().parent.parent


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(1000):
            self.request.sendall(data)


class Cbp:
    """The program, on ports of its own, before `remote`."""

    folder, command = FOLDER, [sys.executable, "-m", "cbp"]

    def __init__(self):
        self.port, self.vars, self.remote, self.process = free_port(), free_port(), free_port(), None

    @contextmanager
    def up(self, *options):
        command = [*self.command, "-l", f"127.0.0.1:{self.port}", "-r", f"127.0.0.1:{self.remote}",
                   "--vars", f"127.0.0.1:{self.vars}", *options]
        with running(command, cwd=FOLDER) as self.process:
            wait_until(self.figures)
            yield self

    def figures(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.vars}/debug/vars", timeout=5) as answer:
            return json.load(answer)["cbp"]

    def until(self, **wanted):
        """Wait until its figures are these."""
        wait_until(lambda: wanted.items() <= self.figures().items())

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return closing(client)

    def refuses(self):
        """Whether a client is reset, where it does not come to `echo`."""
        try:
            with self.connect() as client:
                client.sendall(b"x")
                return client.recv(1) != b"x"
        except ConnectionResetError:
            return True

    @contextmanager
    def echo(self):
        """A service at `remote` that says what it hears."""
        socketserver.ThreadingTCPServer.allow_reuse_address = True
        with socketserver.ThreadingTCPServer(("127.0.0.1", self.remote), Echo) as server:
            thread = threading.Thread(target=server.serve_forever, args=(.02,))
            thread.start()
            yield
            server.shutdown()
            thread.join()

    @contextmanager
    def service(self):
        """Listens at `remote`. Yields a function that accepts a connection."""
        with closing(socket.create_server(("127.0.0.1", self.remote), backlog=100)) as server:
            server.settimeout(10)
            yield lambda: accepted(server)


def accepted(server):
    connection, _ = server.accept()
    connection.settimeout(10)
    return connection


@pytest.fixture
def cbp():
    return Cbp()
