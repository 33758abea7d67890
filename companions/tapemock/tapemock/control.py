"""The HTTP API: JSON in, JSON out."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from .faults import Wrong, bounded, parsed
from .mock import Mock

LARGEST = 1_000_000


def named(given: Any) -> str:
    """The path that is asked for. Raises Wrong."""
    if not isinstance(given, dict) or not isinstance(given.get("path"), str) or "\0" in given["path"]:
        raise Wrong("path should be a file's within the mount")
    return str(given["path"])


def flag(given: Any, name: str) -> bool:
    """Whether that is asked for. Raises Wrong."""
    if not isinstance(given, dict) or not isinstance(given.get(name, False), bool):
        raise Wrong(f"{name} should be true or false")
    return bool(given.get(name))


class Control(ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 128

    def __init__(self, where: tuple[str, int], mock: Mock) -> None:
        self.mock = mock
        super().__init__(where, Handler)

    def answer(self, method: str, path: str, given: Any) -> Any:
        """What the API says. Raises Wrong, OSError for what cannot be done, KeyError for no such address."""
        mock, (name, _, rest) = self.mock, path.strip("/").partition("/")
        match method, name:
            case "GET", "":
                return {"mounted": mock.mounted.is_set(), "faults": mock.faults.shown(), "counted": dict(mock.counted)}
            case "GET", "log":
                return mock.log.after(int(rest) if rest.isdecimal() else 0)
            case "GET", "tape":
                return mock.with_tape().shown(unquote(rest))
            case "POST", "archive":
                mock.with_tape().archive(named(given))
                return mock.with_tape().shown(named(given))
            case "POST", "fetch":
                mock.fetch(named(given), bounded("delay", given.get("delay", 0)))
                return mock.with_tape().shown(named(given))
            case "POST", "power-cut":
                return mock.power_cut(flag(given, "names"))
            case "GET", "faults":
                return mock.faults.shown()
            case "POST", "faults":
                return mock.faults.add(parsed(given)).shown()
            case "DELETE", "faults" if rest.isdecimal() or not rest:
                return mock.faults.remove(int(rest) if rest else None)
        raise KeyError(path)


class Handler(BaseHTTPRequestHandler):
    server: Control
    timeout = 30

    def answer(self) -> None:
        try:
            size = int(self.headers.get("Content-Length") or 0)
            if size > LARGEST:
                raise Wrong("too much is asked for")
            given = json.loads(self.rfile.read(size) or b"{}")
            self.say(200, self.server.answer(self.command, self.path, given))
        except KeyError:
            self.say(404, {"error": "there is no such address"})
        except (ValueError, RecursionError, Wrong, OSError) as error:
            self.say(400, {"error": str(error)})

    def say(self, status: int, what: Any) -> None:
        body = json.dumps(what).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: what matters is at /log."""

    do_GET = do_POST = do_DELETE = answer
