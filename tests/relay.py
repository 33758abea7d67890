"""A TCP relay that can hang as networks and servers do."""

import contextlib
import socket
import threading

from proc import free_port


class Relay:
    """A relay to a port of the loopback. While `listening` is cleared, it accepts no connection, and clients wait.
    While `flowing` is cleared, it accepts connections but forwards data only later, like a stopped server. While
    `deaf`, it drops clients' data from the first query of PostgreSQL's protocol on."""

    def __init__(self, target, port=None):
        self.target, self.deaf, self.sockets = target, False, []
        self.port = port or free_port()
        self.listening, self.flowing = threading.Event(), threading.Event()
        self.listening.set(), self.flowing.set()
        self.server = socket.create_server(("127.0.0.1", self.port), backlog=50)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                self.listening.wait()
                client = self.server.accept()[0]
                if not self.listening.is_set():  # cleared during the accept: this one hangs too
                    self.listening.wait()
                self.join(client)

    def join(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        self.sockets += [client, server]
        threading.Thread(target=self.pump, args=(client, server, True), daemon=True).start()
        threading.Thread(target=self.pump, args=(server, client, False), daemon=True).start()

    def pump(self, source, sink, is_client):
        lost = False
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.flowing.wait()
                lost = lost or (is_client and self.deaf and data[:1] == b"Q")
                if not lost:
                    sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def hang_up(self):
        """End all connections, like a restarting server."""
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self.sockets.clear()

    def close(self):
        self.listening.set(), self.flowing.set()
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.hang_up()
