"""Asking over unix sockets: the app on its own one, and nginx as a visitor would."""

import http.client
import json
import socket

from .host import Problem

AGENT = "slipway-deploy"  # what nginx's log calls us


class Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(sock, path, site=("http", "localhost"), timeout=5):
    """(status, body) of what the socket answers; status 0 and why where there is no answer."""
    connection = Connection(sock, timeout)
    try:
        connection.request("GET", path, headers={
            "Host": site[1], "User-Agent": AGENT, "X-Forwarded-Proto": site[0], "X-Forwarded-For": "127.0.0.1",
            "Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read(100_000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, "no answer: %s" % (getattr(error, "strerror", None) or error or type(error).__name__)
    finally:
        connection.close()


def release_of(body):
    """The release that /readyz names."""
    try:
        return json.loads(body).get("release")
    except (ValueError, AttributeError):
        return None


def not_ready(sock, tag, site=("http", "localhost"), timeout=5):
    """Why /readyz is not the answer of release `tag`, as a Problem; None when it is."""
    status, body = ask(sock, "/readyz", site, timeout)
    if status != 200:
        return Problem("/readyz answers %s" % (status or body), status=status, body=body[:2000])
    if release_of(body) != tag:
        return Problem("/readyz answers as release %s" % release_of(body), status=status, body=body[:2000])
    return None


def smoke(sock, path, site):
    """Raise Problem unless the path answers."""
    status, body = ask(sock, path, site, timeout=10)
    if not 200 <= status < 400:
        raise Problem("%s answers %s" % (path, status or body), status=status, body=body[:2000])


def site_of(settings):
    """(scheme, host) that the app goes by, from its settings' text."""
    for line in (settings or "").splitlines():
        if line.startswith("SITE_URL=") and "://" in line:
            scheme, _, rest = line[9:].strip().partition("://")
            return scheme, rest.split("/")[0]
    return "http", "localhost"
