"""Connections to a web server, over TCP or a unix socket."""

import http.client
import socket


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
