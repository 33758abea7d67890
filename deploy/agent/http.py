"""Asking over unix sockets: the app on its own one, and nginx as a visitor would."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator

from .host import Problem
from .shapes import Any, BinaryIO, Site

AGENT = "slipway-deploy"  # what nginx's log calls us
# HTTP/1.0, whose answers end with the connection: the standard library's client takes longer to load than we to ask.
REQUEST = ("GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: %s\r\nX-Forwarded-Proto: %s\r\n"
           "X-Forwarded-For: 127.0.0.1\r\nConnection: close\r\n\r\n")
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")


def ask(sock: str, path: str, site: Site = ("http", "localhost"), timeout: float = 5) -> tuple[int, str]:
    """(status, body) of what the socket answers; status 0 and why where there is no answer."""
    try:
        answer = exchange(sock, REQUEST % (path, site[1], AGENT, site[0]), timeout)
    except Endless:
        return 0, "without an end within %g s" % timeout
    except OSError as error:
        return 0, "no answer: %s" % (error.strerror or error or type(error).__name__)
    head, _, body = answer.partition(b"\r\n\r\n")
    status = STATUS.match(head)
    return (int(status[1]), body.decode(errors="replace")) if status else (0, "no answer: %r" % answer[:100])


def dead_tasks(sock: str, timeout: float = 5) -> int:
    """How many tasks the app has given up; 0 where it cannot tell. It answers who comes through no proxy."""
    try:
        answer = exchange(sock, "GET /debug/vars HTTP/1.0\r\nHost: localhost\r\n\r\n", timeout)
        return int(json.loads(answer.partition(b"\r\n\r\n")[2])["celery"]["dead"])
    except (Endless, OSError, ValueError, KeyError, TypeError):
        return 0


class Endless(Exception):
    """It answers, and goes on doing so."""


def exchange(sock: str, request: str, timeout: float, most: int = 1_000_000) -> bytes:
    """The bytes that come back, to their end or so many of them. `timeout` is for all of it."""
    answer, deadline = b"", time.monotonic() + timeout
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        connection.connect(sock)
        connection.sendall(request.encode())
        while len(answer) < most:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Endless
            connection.settimeout(left)
            try:
                more = connection.recv(65536)
            except socket.timeout:
                if not answer:
                    raise
                raise Endless from None
            if not more:
                break
            answer += more
    return answer


@contextlib.contextmanager
def stream(sock: str, path: str, timeout: float = 60) -> Iterator[tuple[int, BinaryIO]]:
    """(status, file of the body) of an answer that is too long to be held, for as long as the block runs."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        connection.connect(sock)
        connection.sendall((REQUEST % (path, "localhost", AGENT, "http")).encode())
        with connection.makefile("rb") as file:
            status = STATUS.match(file.readline(1000))
            while file.readline(10_000).strip():
                pass
            yield int(status[1]) if status else 0, file


def release_of(body: str) -> Any:
    """The release that /readyz names."""
    try:
        return json.loads(body).get("release")
    except (ValueError, AttributeError):
        return None


def not_ready(sock: str, tag: str, site: Site = ("http", "localhost"), timeout: float = 5) -> Problem | None:
    """Why /readyz is not the answer of release `tag`, as a Problem; None when it is."""
    status, body = ask(sock, "/readyz", site, timeout)
    if status != 200:
        return Problem("/readyz answers %s" % (status or body), status=status, body=body[:2000])
    if release_of(body) != tag:
        return Problem("/readyz answers as release %s" % release_of(body), status=status, body=body[:2000])
    return None


def smoke(sock: str, path: str, site: Site) -> None:
    """Raise Problem unless the path answers."""
    status, body = ask(sock, path, site, timeout=10)
    if not 200 <= status < 400:
        raise Problem("%s answers %s" % (path, status or body), status=status, body=body[:2000])
