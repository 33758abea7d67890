"""Asking Docker's engine over its socket. Credentials for a registry go along with a request, and are in no file."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

from . import disk
from .host import Host, Problem
from .shapes import Any

MOST = 2_000_000  # bytes of an answer that are kept, its last


def call(host: Host, method: str, path: str, login: dict[str, str] | None = None,
         seconds: float = 60) -> tuple[int, str]:
    """(status, body) of what the engine answers, to its end within that time. Raises Problem without an answer."""
    head = "%s %s HTTP/1.0\r\nHost: docker\r\nContent-Length: 0\r\n" % (method, path)
    if login:
        import base64  # only here: it takes long to load
        head += "X-Registry-Auth: %s\r\n" % base64.urlsafe_b64encode(json.dumps(login).encode()).decode()
    deadline, answer, rest = time.monotonic() + seconds, b"", None
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            for more in exchanged(connection, host.docker_sock, head + "\r\n", deadline):
                answer += more
                if rest is None and b"\r\n\r\n" in answer:
                    rest, _, answer = answer.partition(b"\r\n\r\n")
                answer = answer[-MOST:] if len(answer) > 2 * MOST else answer
    except socket.timeout:
        raise Problem("Docker did not do %s within %d s" % (path.partition("?")[0], seconds)) from None
    except OSError as error:
        raise Problem("Docker does not answer: %s" % (error.strerror or error)) from None
    words = (rest or b"").split(None, 2)
    if len(words) < 2 or not words[1].isdigit():
        raise Problem("Docker broke off without an answer")
    return int(words[1]), answer.decode(errors="replace")


def exchanged(connection: socket.socket, path: str, request: str, deadline: float) -> Iterator[bytes]:
    """What comes back to a request, piece by piece. Raises socket.timeout at the deadline."""
    connection.settimeout(max(0.01, deadline - time.monotonic()))
    connection.connect(path)
    connection.sendall(request.encode())
    while True:
        connection.settimeout(max(0.01, deadline - time.monotonic()))
        more = connection.recv(65536)
        if not more:
            return
        yield more


def trouble(status: int, body: str) -> str:
    """Why the engine did not do it, by its last line; "" where it did."""
    try:
        said = json.loads((body.strip().splitlines() or ["{}"])[-1])
        text = said.get("error") or said.get("message", "") if isinstance(said, dict) else ""
    except ValueError:
        text = "it answered what is no JSON"
    return str(text) or ("" if status == 200 else "it answered %d" % status)


# ---- whom the registry knows ----

def login_for(host: Host, image: str, credentials: str = "") -> dict[str, str] | None:
    """What the engine shows the registry of an image: `credentials`, user:password, or else what docker would here,
    where root has logged in; None for nothing."""
    if credentials:
        user, _, password = credentials.partition(":")
        return {"username": user, "password": password}
    path = host.root + "/root/.docker/config.json"
    try:
        return own_login(host, json.loads(disk.read(path) or "{}"), registry_of(image))
    except (ValueError, KeyError, AttributeError, TypeError):
        raise Problem("%s is not as docker login writes it: log in anew on this host" % path) from None


def own_login(host: Host, config: Any, registry: str) -> dict[str, str] | None:
    """What docker's configuration, or the helper that it names, has for a registry; None for nothing."""
    key = "https://index.docker.io/v1/" if registry == "docker.io" else registry
    helper = config.get("credHelpers", {}).get(key) or config.get("credsStore")
    if helper:
        done = host.call("docker-credential-" + helper, "get", input=key, check=False)
        found = json.loads(done.stdout) if done.returncode == 0 else {}
        secret = "identitytoken" if found.get("Username") == "<token>" else "password"
        return {"username": found["Username"], secret: found["Secret"]} if found else None
    import base64
    entry = config.get("auths", {}).get(key, {})
    user, _, password = base64.b64decode(entry.get("auth", "")).decode().partition(":")
    token = {"identitytoken": entry["identitytoken"]} if entry.get("identitytoken") else {}
    return {"username": user, "password": password, **token} if user or token else None


def registry_of(image: str) -> str:
    """The registry of an image's name."""
    first, slash, _ = image.partition("/")
    return first if slash and (set(first) & set(".:") or first == "localhost") else "docker.io"
