"""The HTTP server by which a test adds faults, fetches files from tape, and cuts the power."""

import json
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote

from pydantic import BaseModel, Field, ValidationError

from .faults import Fault
from .mock import Mock


class Asked(BaseModel, extra="forbid", strict=True, allow_inf_nan=False):
    """The JSON body of a request to fetch a file from tape or to simulate a power cut."""

    path: str = ""
    delay: float = Field(0, ge=0, le=86400)
    names: bool = False


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of a test."""

    mock: Mock

    def asked(self, body: bytes) -> Any:
        """Execute the HTTP request; return the answer. Raise KeyError if the request's path is unknown."""
        mock, (name, _, rest) = self.mock, unquote(self.path).strip("/").partition("/")
        match self.command, name:
            case "GET", "faults":
                return mock.faults.shown()
            case "POST", "faults":
                return mock.faults.add(Fault.model_validate_json(body))
            case "DELETE", "faults" if rest.isdecimal() or not rest:
                return mock.faults.remove(int(rest) if rest else None)
            case "GET", "log":
                return list(mock.log)
            case "GET", "tape" if mock.tape:
                return mock.tape.state(rest)
            case "POST", "fetch" if mock.tape:
                asked = Asked.model_validate_json(body)
                mock.tape.fetch(asked.path, asked.delay)
                return mock.tape.state(asked.path)
            case "POST", "power-cut" if mock.disk:
                with mock.changing:
                    return mock.disk.cut(Asked.model_validate_json(body).names)
        raise KeyError(self.path)

    def answer(self) -> None:
        try:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}"
            status, answer = 200, self.asked(body)
        except KeyError:
            status, answer = 404, {"error": "no such address; tape/ and fetch need --tape, power-cut needs --power-cut"}
        except ValidationError as error:
            each = [" ".join(map(str, [*problem["loc"], problem["msg"]])) for problem in error.errors()]
            status, answer = 400, {"error": "; ".join(each)}
        except (ValueError, OSError) as error:
            status, answer = 400, {"error": str(error)}
        body = json.dumps(answer).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Do not log requests on stderr."""

    do_GET = do_POST = do_DELETE = answer
