"""Connections to a web server, over TCP or a unix socket, and a stand-in for one."""

import contextlib
import http.client
import socket
import threading


class UnixConnection(http.client.HTTPConnection):
    """A connection to the path of a unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def connection_to(where, timeout=60):
    """Return a connection to a port of the loopback, or to the path of a unix socket. The first request connects."""
    if isinstance(where, int):
        return http.client.HTTPConnection("127.0.0.1", where, timeout=timeout)
    return UnixConnection(where, timeout)


def listen(path):
    """Return a unix socket that listens at this path."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    return listening


@contextlib.contextmanager
def served(server):
    """Let a socketserver answer in a thread for the block. Yield the server."""
    with server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def answer(listening, answers):
    """Give the next connections these answers, bytes, one each. Return the list of their requests."""
    asked = []

    def serve():
        for said in answers:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):  # who only connects has gone
                asked.append(connection.recv(65536).decode())
                for half in (said[:10], said[10:]):
                    connection.sendall(half)

    threading.Thread(target=serve, daemon=True).start()
    return asked
