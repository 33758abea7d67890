"""Asking Docker's engine over its socket. Credentials for a registry go along with a request, and are in no file."""

from __future__ import annotations

import json
import socket

from . import disk, http
from .host import Host, Problem
from .shapes import Any

MOST = 2_000_000  # bytes of an answer that are kept, its last


def call(host: Host, method: str, path: str, login: dict[str, str] | None = None,
         seconds: float = 60) -> tuple[int, str]:
    """(status, body) of what the engine answers, to its end within that time. Raises Problem without an answer."""
    request = "%s %s HTTP/1.0\r\nHost: docker\r\nContent-Length: 0\r\n" % (method, path)
    if login:
        import base64  # only here: it takes long to load
        request += "X-Registry-Auth: %s\r\n" % base64.urlsafe_b64encode(json.dumps(login).encode()).decode()
    head, body = b"", b""
    try:
        for piece in http.pieces(host.docker_sock, request + "\r\n", seconds):
            body += piece
            if not head and b"\r\n\r\n" in body:
                head, _, body = body.partition(b"\r\n\r\n")
            body = body[-MOST:] if len(body) > 2 * MOST else body
    except socket.timeout:
        raise Problem("Docker did not do %s within %d s" % (path.partition("?")[0], seconds)) from None
    except OSError as error:
        raise Problem("Docker does not answer: %s" % (error.strerror or error)) from None
    status = http.STATUS.match(head)
    if not status:
        raise Problem("Docker broke off without an answer")
    return int(status[1]), body.decode(errors="replace")


def image(host: Host, reference: str) -> Any:
    """What the engine says of an image that is here, parsed; None where it is not. Raises Problem."""
    status, body = call(host, "GET", "/images/%s/json" % reference)
    if status == 404:
        return None
    if status != 200:
        raise Problem("Docker does not know of image %s: %s" % (reference, trouble(status, body)))
    return json.loads(body)


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
