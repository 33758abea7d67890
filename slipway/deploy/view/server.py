"""Serves the page on 127.0.0.1, to whoever has the token. It only reads."""

import hmac
import json
import re
import secrets
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..errors import DeployError

ADDRESS = "127.0.0.1"
COOKIE = "slipway_view"
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "json": "application/json"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


REQUEST = re.compile(r"request=([A-Za-z0-9_-]{8,64})&at=(\d{1,12}(?:\.\d{1,6})?)")


class Server(ThreadingHTTPServer):
    """`state` returns what the page shows, `lines` the log of a request that ended at a time in seconds. `token`: who
    sends it gets a cookie, without which nothing is shown."""

    daemon_threads = True

    def __init__(
        self, port: int, state: Callable[[], dict[str, Any]], lines: Callable[[str, float], list[str]]
    ) -> None:
        super().__init__((ADDRESS, port), Handler)
        self.state = state
        self.lines = lines
        self.token = secrets.token_urlsafe(32)
        self.cookie = secrets.token_urlsafe(32)
        self.files = {f"/{path.name}": path.read_bytes() for path in page_files()}

    @property
    def address(self) -> str:
        """The page's address, without the token."""
        return f"http://{ADDRESS}:{self.server_port}/"

    @property
    def address_with_token(self) -> str:
        return f"{self.address}?token={self.token}"


def page_files() -> list[Any]:
    return [
        path
        for path in resources.files(__package__).joinpath("page").iterdir()
        if path.name.endswith((".html", ".css", ".js"))
    ]


class Handler(BaseHTTPRequestHandler):
    """Answers a request."""

    server: Server
    server_version = "slipway"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        token = parse_qs(parts.query).get("token", [""])[0]
        if not self.is_for_us():  # a name that leads here is another site's: DNS rebinding
            self.answer(421, "text/plain", b"wrong host\n")
        elif parts.path == "/" and hmac.compare_digest(token.encode(), self.server.token.encode()):
            cookie = f"{COOKIE}={self.server.cookie}; HttpOnly; SameSite=Strict; Path=/"
            self.answer(303, "text/plain", b"", {"Location": "/", "Set-Cookie": cookie})
        elif not self.is_allowed():
            self.answer(403, "text/plain", b"Open the address that slipway view has printed.\n")
        else:
            self.serve("/index.html" if parts.path == "/" else parts.path, parts.query)

    def serve(self, path: str, query: str) -> None:
        if path == "/state.json":
            self.answer(200, TYPES["json"], json.dumps(self.server.state()).encode())
        elif path == "/lines.json" and (asked := REQUEST.fullmatch(query)):
            self.answer(200, TYPES["json"], json.dumps(self.lines(asked[1], float(asked[2]))).encode())
        elif path in self.server.files:
            self.answer(200, TYPES[path.rpartition(".")[2]], self.server.files[path])
        else:
            self.answer(404, "text/plain", b"not found\n")

    def lines(self, request: str, at: float) -> list[str]:
        try:
            return self.server.lines(request, at)
        except DeployError as error:
            return [str(error)]
        except TimeoutError:
            return ["the hosts do not answer: see slipway logs"]

    def is_for_us(self) -> bool:
        port = self.server.server_port
        return self.headers.get("Host", "") in (f"{ADDRESS}:{port}", f"localhost:{port}")

    def is_allowed(self) -> bool:
        try:
            sent = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return sent is not None and hmac.compare_digest(sent.value.encode(), self.server.cookie.encode())

    def answer(self, status: int, kind: str, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: requests have the token."""
