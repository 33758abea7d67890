"""Serves the page on 127.0.0.1, and its figures to whoever has the token. It only reads."""

import hmac
import json
import re
import secrets
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from ..errors import DeployError

ADDRESS = "127.0.0.1"
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
    """`state` returns what the page shows, `lines` the log of a request that ended at a time in seconds. `token`:
    without it nothing is told. The page keeps it for its own port, and sends it in a header; a browser would send a
    cookie to all ports of this machine."""

    daemon_threads = True

    def __init__(
        self, port: int, state: Callable[[], dict[str, Any]], lines: Callable[[str, float], list[str]]
    ) -> None:
        super().__init__((ADDRESS, port), Handler)
        self.state = state
        self.lines = lines
        self.token = secrets.token_urlsafe(32)
        self.files = {f"/{path.name}": path.read_bytes() for path in page_files()}

    @property
    def address(self) -> str:
        """The page's address, without the token."""
        return f"http://{ADDRESS}:{self.server_port}/"

    @property
    def address_with_token(self) -> str:
        """The part behind # is one that a browser sends to nobody."""
        return f"{self.address}#token={self.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing if a browser has gone."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


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
        path = "/index.html" if parts.path == "/" else parts.path
        if not self.is_for_us():  # a name that leads here is another site's: DNS rebinding
            self.answer(421, "text/plain", b"wrong host\n")
        elif path in self.server.files:  # as in everybody's copy of Slipway
            self.answer(200, TYPES[path.rpartition(".")[2]], self.server.files[path])
        elif not self.is_allowed():
            self.answer(403, "text/plain", b"Open the address that slipway view has printed.\n")
        else:
            self.tell(path, parts.query)

    def tell(self, path: str, query: str) -> None:
        """Answer with what the hosts have said."""
        if path == "/state.json":
            self.answer_with(self.server.state)
        elif path == "/lines.json" and (asked := REQUEST.fullmatch(query)):
            self.answer_with(lambda: self.lines(asked[1], float(asked[2])))
        else:
            self.answer(404, "text/plain", b"not found\n")

    def answer_with(self, function: Callable[[], object]) -> None:
        """Answer with what the function returns, or why it returns nothing."""
        try:
            content = json.dumps(function()).encode()
        except TimeoutError:
            self.answer(503, "text/plain", b"this machine is too busy to compute the figures\n")
        except Exception as error:
            self.answer(500, "text/plain", f"{type(error).__name__}: {error}\n".encode(errors="backslashreplace"))
            raise
        else:
            self.answer(200, TYPES["json"], content)

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
        sent = self.headers.get("Authorization", "").encode(errors="replace")
        return hmac.compare_digest(sent, f"Bearer {self.server.token}".encode())

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
