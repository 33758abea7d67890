"""`python -m slipway.health.healthcheck [ROLE]`: exit 0 when what this container runs works, else 1 and why, in a line.

The site is asked for /healthz, where it listens. Worker and beat touch a file as long as they turn their rounds. Of
any other command nothing is known, but that it runs; it is not well where ROLE was to be started.

`python -m slipway.health.healthcheck ready [HOW]`: for engines with one check for start and life. Until it was ready
once in this container's life, that is asked: the site for /readyz, a worker whether it takes tasks, a process of a
team's by HOW, as `ready` in the deployer's toml.
"""

import contextlib
import http.client
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROLE = Path("/dev/shm/role")
ALIVE = Path("/dev/shm/alive")
BEEN_READY = Path("/dev/shm/been-ready")  # docker-run.sh removes it at a container's start
LIMIT = 60  # seconds: both turn a round every 5 at the latest


def main(wanted: str = "", *how: str) -> None:
    """Exit 0, or 1 with a line on stderr. `wanted`: the role that is to be started here, if any, or "ready"."""
    role = ROLE.read_text() if ROLE.exists() else ""
    problem = starts(role, " ".join(how)) if wanted == "ready" and not BEEN_READY.exists() else lives(role, wanted)
    if problem:
        print(f"healthcheck: {problem}", file=sys.stderr)
        sys.exit(1)
    if wanted == "ready":
        with contextlib.suppress(OSError):  # then it is asked again
            BEEN_READY.touch()


def lives(role: str, wanted: str) -> str:
    """Why it is not well, or nothing."""
    if role:
        return site("/healthz") if role == "web" else rounds(role)
    return f"{wanted} has not started yet" if wanted not in ("", "ready") else ""


def starts(role: str, how: str) -> str:
    """Why it is not ready yet, or nothing."""
    if how:
        return own(how)
    if role == "web":
        return site("/readyz")
    if role == "worker":
        return takes_tasks()
    return rounds(role) if role else "neither web, worker nor beat has started yet"


def site(path: str) -> str:
    """What is wrong with the site's answer, or nothing."""
    try:
        status = ask(os.environ.get("SOCKET"), int(os.environ.get("PORT") or 8000), path)
    except (OSError, http.client.HTTPException) as error:
        return f"the site does not answer: {error}"
    return "" if status == 200 else f"{path} answers {status}"


def ask(unix: str | None, port: int, path: str, timeout: float = 4) -> int:
    """The status of a path, over the unix socket or else the port. Raises OSError and HTTPException."""
    connection = http.client.HTTPConnection("localhost", port, timeout=timeout)
    if unix:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(timeout)
        connection.sock.connect(unix)
    connection.request("GET", path)
    return connection.getresponse().status


def rounds(role: str) -> str:
    """What is wrong with worker or beat, or nothing."""
    age = time.time() - ALIVE.stat().st_mtime if ALIVE.exists() else None
    if age is None:
        return f"{role} has not started yet"
    return f"{role} was last alive {age:.0f} s ago" if age > LIMIT else ""


def takes_tasks() -> str:
    """Why a worker takes none yet, or nothing; see worker.py."""
    return own("file") or ("" if Path(os.environ["READY_FILE"]).read_text().startswith("consuming")
                           else "worker takes no tasks yet")


def alive() -> None:
    """Worker and beat call this in each round; outside of the image it does nothing."""
    if os.environ.get("ROLE"):
        with contextlib.suppress(OSError):
            ALIVE.touch()


# ---- how a process of a team's shows that it is ready ----

def own(how: str) -> str:
    """Why it is not ready yet, or nothing."""
    way, _, what = how.partition(" ")
    try:
        return WAYS[way](what)
    except (KeyError, ValueError):
        return f"{how!r} is none of: seconds N, file, port N, http [:N]/PATH"


def seconds(what: str) -> str:
    """This container's first process has run for so long."""
    began = int(Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - began
    return "" if age >= int(what) else f"it has run for only {age:.0f} s"


def file(_: str) -> str:
    """Its READY_FILE is there."""
    path = os.environ.get("READY_FILE")
    if not path:
        return "READY_FILE is not set, so nothing can be told by it"
    return "" if os.path.exists(path) else "it has not made its READY_FILE"


def port(what: str) -> str:
    """It accepts connections at a TCP port."""
    try:
        socket.create_connection(("localhost", int(what)), 4).close()
    except OSError as error:
        return f"it does not listen at port {what}: {error.strerror or error}"
    return ""


def page(what: str) -> str:
    """It answers a path well, at 8000 or the port before the path."""
    number, slash, path = what.partition("/")
    try:
        status = ask(None, int(number.removeprefix(":") or 8000), slash + path)
    except (OSError, http.client.HTTPException) as error:
        return f"it does not answer: {error}"
    return "" if 200 <= status < 400 else f"it answers {status} to {slash}{path}"


WAYS: dict[str, Callable[[str], str]] = {"seconds": seconds, "file": file, "port": port, "http": page}


if __name__ == "__main__":
    main(*sys.argv[1:])
