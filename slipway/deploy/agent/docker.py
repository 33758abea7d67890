"""Asking Docker's engine over its socket. A registry's credentials go along with a request, and are in no file."""

from __future__ import annotations

import json
import re
import socket

from . import disk, http
from .host import Host, Problem
from .shapes import Any

MOST = 16_000_000  # bytes of an answer that are kept, the last ones
PLAIN = re.compile(r"/[!-\[\]-~]*")  # no space, line end or backslash: part of a path may be another host's word


def call(host: Host, method: str, path: str, login: dict[str, str] | None = None, seconds: float = 60,
         given: object = None) -> tuple[int, str]:
    """(status, body) of the engine's answer, the last MOST bytes at least. `given`: what it is sent, as JSON. Raises
    Problem where it does not end within so many seconds, or the path is none."""
    if not PLAIN.fullmatch(path) or {".", ".."} & {*path.partition("?")[0].split("/")}:
        raise Problem("Docker is not asked for %s: that is no path" % ascii(path)[:300])
    content = "" if given is None else json.dumps(given)  # ASCII alone
    request = "%s %s HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % (
        method, path, len(content))
    if login:
        import base64  # only here: it takes long to load
        request += "X-Registry-Auth: %s\r\n" % base64.urlsafe_b64encode(json.dumps(login).encode()).decode()
    head, body = b"", b""
    try:
        for piece in http.pieces(host.docker_sock, request + "\r\n" + content, seconds):
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


def ask(host: Host, method: str, path: str, what: str, given: object = None, seconds: float = 60) -> Any:
    """Return the engine's parsed answer, or None for 404 or no body. Raises Problem that begins with `what`."""
    status, body = call(host, method, path, None, seconds, given)
    if status == 404:
        return None
    if not 200 <= status < 300:
        raise Problem("%s: %s" % (what, error_of(status, body)))
    return json.loads(body) if body.strip() else None


def image(host: Host, reference: str) -> Any:
    """What the engine says of an image that is here, parsed; None where it is not. Raises Problem."""
    return ask(host, "GET", "/images/%s/json" % reference, "Docker does not know of image %s" % reference)


def run(host: Host, container: str, words: list[str]) -> object:
    """The exit code of a command in a container that runs; None where the container is gone. Raises Problem."""
    what, given = "docker exec", {"Cmd": words, "AttachStdout": True, "AttachStderr": True}
    made = ask(host, "POST", "/containers/%s/exec" % container, what, given)
    if not made:
        return None
    status, body = call(host, "POST", "/exec/%s/start" % made["Id"], given={"Detach": False})  # to its end
    if status != 200:
        raise Problem("%s: %s" % (what, error_of(status, body)))
    ended = ask(host, "GET", "/exec/%s/json" % made["Id"], what)
    return ended and ended["ExitCode"]


def error_of(status: int, body: str) -> str:
    """Why the engine did not do what it was asked, by the last line of its answer; "" where it did."""
    try:
        last = json.loads((body.strip().splitlines() or ["{}"])[-1])
        text = last.get("error") or last.get("message", "") if isinstance(last, dict) else ""
    except ValueError:
        text = "it answered what is no JSON"
    return str(text) or ("" if status == 200 else "it answered %d" % status)


# ---- credentials ----

def login_for(host: Host, image: str, credentials: str = "") -> dict[str, str] | None:
    """What the engine logs in to an image's registry with: `credentials`, user:password, or else what root's docker
    login has left on this host; None where there is nothing. Raises Problem."""
    if credentials:
        user, _, password = credentials.partition(":")
        return {"username": user, "password": password}
    path = host.root + "/root/.docker/config.json"
    try:
        return own_login(host, json.loads(disk.read(path) or "{}"), registry_of(image))
    except (ValueError, KeyError, AttributeError, TypeError):
        raise Problem("%s is not as docker login writes it: log in anew on this host" % path) from None


def own_login(host: Host, config: Any, registry: str) -> dict[str, str] | None:
    """The login for a registry in docker's configuration, or of the helper that it names; None where there is none."""
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
    """The registry in an image's name."""
    first, slash, _ = image.partition("/")
    return first if slash and (set(first) & set(".:") or first == "localhost") else "docker.io"
