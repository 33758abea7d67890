"""`python -m slipway.healthcheck [ROLE]`: exit 0 when what this container runs works, else 1 and why, in a line.

The site is asked for /healthz, where it listens. Worker and beat touch a file as long as they turn their rounds. Of
any other command nothing is known, but that it runs; it is not well where ROLE was to be started.
"""

import contextlib
import http.client
import os
import socket
import sys
import time
from pathlib import Path

ROLE = Path("/dev/shm/role")
ALIVE = Path("/dev/shm/alive")
LIMIT = 60  # seconds: both turn a round every 5 at the latest


def main(wanted: str = "") -> None:
    """Exit 0, or 1 with a line on stderr. `wanted`: the role that is to be started here, if any."""
    try:
        role = ROLE.read_text() if ROLE.exists() else ""
        problem = web() if role == "web" else rounds(role) if role else wanted and f"{wanted} has not started yet"
    except OSError as error:
        problem = f"the site does not answer: {error}"
    if problem:
        print(f"healthcheck: {problem}", file=sys.stderr)
        sys.exit(1)


def web() -> str:
    """What is wrong with the site's answer, or nothing."""
    status = ask(os.environ.get("SOCKET"), int(os.environ.get("PORT") or 8000))
    return "" if status == 200 else f"/healthz answers {status}"


def ask(path: str | None, port: int, timeout: float = 4) -> int:
    """The status of /healthz, over the unix socket at `path` or else the port. Raises OSError."""
    connection = http.client.HTTPConnection("localhost", port, timeout=timeout)
    if path:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(timeout)
        connection.sock.connect(path)
    connection.request("GET", "/healthz")
    return connection.getresponse().status


def rounds(role: str) -> str:
    """What is wrong with worker or beat, or nothing."""
    age = time.time() - ALIVE.stat().st_mtime if ALIVE.exists() else None
    if age is None:
        return f"{role} has not started yet"
    return f"{role} was last alive {age:.0f} s ago" if age > LIMIT else ""


def alive() -> None:
    """Worker and beat call this in each round; outside of the image it does nothing."""
    if os.environ.get("ROLE"):
        with contextlib.suppress(OSError):
            ALIVE.touch()


if __name__ == "__main__":
    main(*sys.argv[1:])
