"""Whether the front page is reached: from here, and from the blackbox exporters at other places. These calls block."""

import contextlib
import http.client
import re
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import quote, urlsplit

AGENT = {"User-Agent": "slipway-watch"}
MOST = 1_000_000  # bytes that are read
VALUE = re.compile(r"^(probe_success|probe_ssl_earliest_cert_expiry) (\S+)$", re.MULTILINE)
AMISS = (OSError, ValueError, http.client.HTTPException)  # the last: an answer that breaks off, or is none
Reached = tuple[str, float | None]  # (why not, or ""; when the certificate ends, in seconds since the epoch)


def from_here(url: str, limit: float) -> Reached:
    """Ask for the page."""
    try:
        get(url, limit)
        return "", ends(url, limit) if url.startswith("https:") else None
    except AMISS as error:
        return why(error), None


def from_place(probe: str, url: str, limit: float) -> Reached:
    """Have an exporter ask for it."""
    try:
        said = dict(VALUE.findall(get(f"{probe}/probe?module=front&target={quote(url, safe='')}", limit)))
        expires = said.get("probe_ssl_earliest_cert_expiry")
        reached = float(said.get("probe_success", 0)) == 1
        return "" if reached else "does not reach it", float(expires) if expires else None
    except AMISS as error:
        return f"the exporter: {why(error)}", None


class Cut(http.client.HTTPConnection):
    """A connection that lasts `timeout` seconds at most: urllib's own timeout begins anew with every byte."""

    def connect(self) -> None:
        """Connect."""
        super().connect()
        timer = threading.Timer(self.timeout or 0, cut, [self.sock])
        timer.daemon = True
        timer.start()


class SecureCut(Cut, http.client.HTTPSConnection):
    """The same with TLS."""


class Plain(urllib.request.HTTPHandler):
    """Opens http: so."""

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Open it."""
        return self.do_open(Cut, request)


class Secure(urllib.request.HTTPSHandler):
    """Opens https: so."""

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Open it."""
        return self.do_open(SecureCut, request)


def cut(connection: socket.socket) -> None:
    """End a connection, whoever reads from it, unless it has ended."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # that of TLS would not do beside a reader


def get(url: str, limit: float) -> str:
    """What is answered, if it is no error. Raises one of AMISS."""
    deadline = time.monotonic() + limit
    asked = urllib.request.Request(url, headers=AGENT)
    with urllib.request.build_opener(Plain, Secure).open(asked, timeout=limit) as answer:
        text: bytes = answer.read(MOST)
    if time.monotonic() >= deadline:  # it may have been cut
        raise TimeoutError("timed out")
    return text.decode(errors="replace")


def ends(url: str, limit: float) -> float | None:
    """When the certificate ends that is shown there."""
    site = urlsplit(url)
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(socket.create_connection((site.hostname, site.port or 443), limit))
        secure = ssl.create_default_context().wrap_socket(plain, server_hostname=site.hostname)
        found = stack.enter_context(secure).getpeercert() or {}
    return ssl.cert_time_to_seconds(str(found["notAfter"])) if "notAfter" in found else None


def why(error: Exception) -> str:
    """An error in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        return f"answers {error.code}"
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason or type(error).__name__)
