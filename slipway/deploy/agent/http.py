"""A small HTTP client for requests to nginx, Docker, and the app's processes."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator, Sequence
from functools import partial

from .host import Problem, in_parallel
from .message_types import Any, BinaryIO, Place, Site

MOST = 1_000_000  # bytes read of an answer; the rest is ignored
AGENT = "slipway-deploy"  # the user agent that marks these requests in nginx's log
# HTTP/1.0 is simple: the answer ends when the connection closes. To import http.client takes longer than a request.
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")


def ask(
    sock: Place,
    path: str,
    site: Site = ("http", "localhost"),
    timeout: float = 5,
    tls: bool = False,
    agent: str = AGENT,
) -> tuple[int, str]:
    """Request a path; return (status, body), or (0, reason) if no complete answer comes within `timeout` seconds. To a
    request without a scheme, which no proxy sends, the app shows its metrics."""
    answer = b""
    try:
        for piece in read_chunks(sock, request_of(path, site, agent), timeout, site[1] if tls else ""):
            answer += piece
            if len(answer) >= MOST:
                break
    except OSError as error:
        if answer and isinstance(error, socket.timeout):
            return 0, f"only in part within {timeout:g} s"
        return 0, f"nothing: {error.strerror or error or type(error).__name__}"
    head, _, body = answer.partition(b"\r\n\r\n")
    status = STATUS.match(head)
    return (int(status[1]), body.decode(errors="replace")) if status else (0, f"no HTTP: {answer[:100]!r}")


def request_of(path: str, site: Site, agent: str = AGENT) -> str:
    """Return a request for a path, as a proxy would send it if `site` has a scheme."""
    scheme, host = site
    proxied = f"X-Forwarded-Proto: {scheme}\r\nX-Forwarded-For: 127.0.0.1\r\n" if scheme else ""
    return f"GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: {agent}\r\n{proxied}Connection: close\r\n\r\n"


def read_chunks(sock: Place, request: str, timeout: float, tls: str = "") -> Iterator[bytes]:
    """Send a request; yield the answer in chunks. Raise socket.timeout if the whole answer takes over `timeout` s."""
    deadline = time.monotonic() + timeout
    with send_request(sock, request, timeout, tls) as connection:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise socket.timeout("timed out")
            connection.settimeout(left)
            piece = connection.recv(65536)
            if not piece:
                return
            yield piece


@contextlib.contextmanager
def send_request(sock: Place, request: str, timeout: float | None, tls: str = "") -> Iterator[socket.socket]:
    """Connect and send a request. `tls`: a name, to use TLS with any certificate."""
    with socket.socket(socket.AF_UNIX if isinstance(sock, str) else socket.AF_INET) as connection:
        connection.settimeout(timeout)
        connection.connect(sock)
        with wrap_tls(connection, tls) if tls else contextlib.nullcontext(connection) as used:
            used.sendall(request.encode())
            yield used


def wrap_tls(connection: socket.socket, name: str) -> socket.socket:
    import ssl  # only when needed: it loads slowly

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname=name)


@contextlib.contextmanager
def stream(sock: str, path: str, seconds: float | None = 60) -> Iterator[tuple[int, BinaryIO]]:
    """Request a path; yield (status, file with the body). Raises socket.timeout if no byte comes for `seconds`."""
    request = request_of(path, ("http", "localhost"))
    with send_request(sock, request, seconds) as connection, connection.makefile("rb") as file:
        status = STATUS.match(file.readline(1000))
        while file.readline(10_000).strip():
            pass
        yield int(status[1]) if status else 0, file


def release_of(body: str) -> Any:
    try:
        return json.loads(body).get("release")
    except (ValueError, AttributeError, RecursionError):
        return None


def readiness_problem(sock: str, tag: str, site: Site = ("http", "localhost")) -> Problem | None:
    """Return None if /readyz answers 200 for release `tag`, else a Problem."""
    status, body = ask(sock, "/readyz", site)
    release = release_of(body)
    if status == 200 and release == tag:
        return None
    answer = f"as release {str(release)[:200]}" if status == 200 else status or body
    return Problem(f"/readyz answers {answer}", status=status, body=body[:2000])


def smoke(sock: str, paths: Sequence[str], site: Site) -> None:
    def ask_one(path: str) -> None:
        status, body = ask(sock, path, site, timeout=10)
        if not 200 <= status < 400:
            raise Problem(f"{path} answers {status or body}", status=status, body=body[:2000])

    in_parallel([partial(ask_one, path) for path in paths])
