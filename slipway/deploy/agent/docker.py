"""Requests to the Docker engine. A registry's login is sent in a header, and never written to a file."""

from __future__ import annotations

import json
import re
import socket

from . import disk, http
from .host import Host, Problem, lines_of
from .message_types import Any, Heard

MOST = 16_000_000  # of a longer answer, at least this many of the last bytes are kept
PLAIN = re.compile(r"/[!-\[\]-~]*")  # no space, newline or backslash, because parts of a path come from other hosts


def ignore(piece: bytes) -> None:
    pass


def call(
    host: Host,
    method: str,
    path: str,
    login: dict[str, str] | None = None,
    seconds: float = 60,
    given: object = None,
    heard: Heard = ignore,
) -> tuple[int, str]:
    """Send a request to Docker, with `given` as JSON and `login` for a registry. Return the answer's status and body.
    Call `heard` with each piece of the answer. Raise Problem after `seconds`, or if `path` is invalid."""
    if not PLAIN.fullmatch(path) or {".", ".."} & {*path.partition("?")[0].split("/")}:
        raise Problem(f"invalid path for a request to Docker: {ascii(path)[:300]}")
    content = "" if given is None else json.dumps(given)  # JSON in pure ASCII, so len(content) counts its bytes
    request = f"{method} {path} HTTP/1.0\r\nHost: docker\r\n"
    request += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    if login:
        import base64  # only when needed: it loads slowly

        request += f"X-Registry-Auth: {base64.urlsafe_b64encode(json.dumps(login).encode()).decode()}\r\n"
    head = b""
    body = b""
    try:
        for piece in http.read_chunks(host.docker_sock, request + "\r\n" + content, seconds):
            heard(piece)
            body += piece
            if not head and b"\r\n\r\n" in body:
                head, _, body = body.partition(b"\r\n\r\n")
            body = body[-MOST:] if len(body) > 2 * MOST else body
    except socket.timeout:
        raise Problem(f"Docker did not finish {path.partition('?')[0]} within {seconds:g} s") from None
    except OSError as error:
        raise Problem(f"Docker does not answer: {error.strerror or error}") from None
    status = http.STATUS.match(head)
    if not status:
        raise Problem("Docker closed the connection without an answer")
    return int(status[1]), body.decode(errors="replace")


def ask(host: Host, method: str, path: str, what: str, given: object = None, seconds: float = 60) -> Any:
    """Return Docker's parsed answer; None if empty or 404. Other error codes raise a Problem beginning with `what`."""
    status, body = call(host, method, path, None, seconds, given)
    if status == 404:
        return None
    if not 200 <= status < 300:
        raise Problem(f"{what}: {error_of(status, body)}")
    return json.loads(body) if body.strip() else None


def path_with_filter(path: str, kind: str, value: str) -> str:
    """Return the path of a list, with a filter such as {"label":["VALUE"]}, URL-encoded."""
    return f"{path}&filters=%7B%22{kind}%22:%5B%22{value}%22%5D%7D"


def inspect_image(host: Host, reference: str) -> Any:
    return ask(host, "GET", f"/images/{reference}/json", f"Docker cannot inspect image {reference}")


def run(host: Host, container: str, words: list[str]) -> object:
    """Run a command in a running container. Return the command's exit code; None if the container is gone."""
    what = "docker exec"
    given = {"Cmd": words, "AttachStdout": True, "AttachStderr": True}
    made = ask(host, "POST", f"/containers/{container}/exec", what, given)
    if not made:
        return None
    # This answer ends with the command.
    status, body = call(host, "POST", f"/exec/{made['Id']}/start", given={"Detach": False})
    if status != 200:
        raise Problem(f"{what}: {error_of(status, body)}")
    ended = ask(host, "GET", f"/exec/{made['Id']}/json", what)
    return ended and ended["ExitCode"]


def error_of(status: int, body: str) -> str:
    """Return the error in the last line of the answer. If there is none, return "it answered STATUS", or "" for 200."""
    try:
        last = json.loads((lines_of(body.strip()) or ["{}"])[-1])
        text = last.get("error") or last.get("message", "") if isinstance(last, dict) else ""
    except (ValueError, RecursionError):
        text = "its answer is not JSON"
    return str(text) or ("" if status == 200 else f"it answered {status}")


# ---- credentials ----


def login_for(host: Host, image: str, credentials: str = "") -> dict[str, str] | None:
    """Return `credentials` (user:password) as a login, else root's `docker login` for the image's registry, or None."""
    if credentials:
        user, _, password = credentials.partition(":")
        return {"username": user, "password": password}
    path = host.root + "/root/.docker/config.json"
    try:
        return stored_login(host, json.loads(disk.read(path) or "{}"), registry_of(image))
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise Problem(f"{path} is malformed: run docker login again on this host") from None


def stored_login(host: Host, config: Any, registry: str) -> dict[str, str] | None:
    key = "https://index.docker.io/v1/" if registry == "docker.io" else registry
    helper = config.get("credHelpers", {}).get(key) or config.get("credsStore")
    if helper:
        done = host.call("docker-credential-" + helper, "get", input=key, check=False)
        login = json.loads(done.stdout) if done.returncode == 0 else {}
        secret = "identitytoken" if login.get("Username") == "<token>" else "password"
        return {"username": login["Username"], secret: login["Secret"]} if login else None
    import base64

    entry = config.get("auths", {}).get(key, {})
    user, _, password = base64.b64decode(entry.get("auth", "")).decode().partition(":")
    token = {"identitytoken": entry["identitytoken"]} if entry.get("identitytoken") else {}
    return {"username": user, "password": password, **token} if user or token else None


def registry_of(image: str) -> str:
    first, slash, _ = image.partition("/")
    return first if slash and (set(first) & set(".:") or first == "localhost") else "docker.io"
