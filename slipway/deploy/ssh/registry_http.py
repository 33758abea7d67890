"""A read-only server of images: what an engine's pull by digest asks of Docker's Registry HTTP API v2."""

import base64
import contextlib
import hmac
import re
import secrets
import socket
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, NamedTuple

TLS = b"\x16"  # the first byte of a client that tries https


class Blob(NamedTuple):
    """A part of an image, in a file of all blobs."""

    kind: str
    digest: str
    size: int  # bytes
    offset: int

    def entry(self) -> dict[str, str | int]:
        return {"mediaType": self.kind, "digest": self.digest, "size": self.size}


class Server(ThreadingHTTPServer):
    """Serves `blobs` of `file` on a free `port`, inside `with`. Clients need the `login` ("user:password"), because all
    users of this machine and of the hosts can reach the port. `digest`: the manifest's digest. `sent`: bytes sent."""

    request_queue_size = 128

    def __init__(self, digest: str, blobs: Iterable[Blob], file: IO[bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.file = file
        self.digest = digest
        self.port = self.server_address[1]
        self.sent = 0
        self.blobs = {blob.digest: blob for blob in blobs}
        self.login = f"deploy:{secrets.token_urlsafe(24)}"
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> "Server":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()
        self.file.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Do nothing: Docker on the host reports why a pull failed."""


class Handler(BaseHTTPRequestHandler):
    """Answers Docker as a registry that one can only read."""

    protocol_version = "HTTP/1.1"
    server: Server
    timeout = 120

    def handle(self) -> None:
        """If a client tries TLS, answer with an error in plain HTTP: then Docker uses http."""
        with contextlib.suppress(OSError):
            if self.connection.recv(1, socket.MSG_PEEK) == TLS:
                self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                return
            super().handle()

    def do_GET(self) -> None:
        if not self.allowed():
            self.answer(401, {"WWW-Authenticate": 'Basic realm="slipway"'})
            return
        if self.path.rstrip("/") == "/v2":
            self.answer(200, body=b"{}")
            return
        match = re.fullmatch(r"/v2/.+/(?:manifests|blobs)/(.+)", self.path)
        blob = match and self.server.blobs.get(match[1])
        if not blob:
            self.answer(404, body=b'{"errors":[{"code":"NOT_FOUND"}]}')
            return
        self.send(blob)

    do_HEAD = do_GET

    def allowed(self) -> bool:
        expected = "Basic " + base64.b64encode(self.server.login.encode()).decode()
        return hmac.compare_digest(self.headers.get("Authorization", "").encode(), expected.encode())

    def send(self, blob: Blob) -> None:
        self.head(200, blob.size, {"Content-Type": blob.kind, "Docker-Content-Digest": blob.digest})
        if self.command == "GET" and blob.size:
            with self.server.lock:
                self.server.sent += blob.size
            self.connection.sendfile(self.server.file, blob.offset, blob.size)

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.head(status, len(body), {"Content-Type": "application/json", **(headers or {})})
        if self.command == "GET":
            self.wfile.write(body)

    def head(self, status: int, size: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {
            "Docker-Distribution-Api-Version": "registry/2.0",
            "Content-Length": size,
            **headers,
        }.items():
            self.send_header(name, str(value))
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Log nothing."""
