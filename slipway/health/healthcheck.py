"""`python -m slipway.health.healthcheck [ROLE]` exits with 0 if this container works; else it prints the reason and
exits with 1. Web must answer /healthz; worker and beat must touch a file regularly. If none of the three has started,
the exit code is 0, or 1 if ROLE is given.

`… ready [HOW]` is for engines with only one health check. It tests readiness until the first success, then it checks as
above. The test is web's /readyz, a worker's READY_FILE, or HOW (`ready` in [process.NAME] of production.toml).
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
LIMIT = 60  # greatest age of ALIVE in seconds: worker and beat call alive() at least every 5 s


def main(asked: str = "", *how: str) -> None:
    """Check this container. `asked` is the argument ROLE, "ready" or ""; `how` are the words of HOW."""
    role = ROLE.read_text() if ROLE.exists() else ""
    if asked == "ready" and not BEEN_READY.exists():
        problem = readiness_problem(role, " ".join(how))
    else:
        problem = liveness_problem(role, asked)
    if problem:
        print(f"healthcheck: {problem}", file=sys.stderr)
        sys.exit(1)
    if asked == "ready":
        with contextlib.suppress(OSError):  # without the file, the next call checks readiness again
            BEEN_READY.touch()


def liveness_problem(role: str, asked: str) -> str:
    if role:
        return site("/healthz") if role == "web" else heartbeat_problem(role)
    return f"{asked} has not started yet" if asked not in ("", "ready") else ""


def readiness_problem(role: str, how: str) -> str:
    if how:
        return own_check_problem(how)
    if role == "web":
        return site("/readyz")
    if role == "worker":
        return worker_problem()
    return heartbeat_problem(role) if role else "neither web, worker nor beat has started yet"


def site(path: str) -> str:
    try:
        status = ask(os.environ.get("SOCKET"), int(os.environ.get("PORT") or 8000), path)
    except (OSError, http.client.HTTPException) as error:
        return f"the site does not answer: {error}"
    return "" if status == 200 else f"{path} answers {status}"


def ask(unix: str | None, port: int, path: str, timeout: float = 4) -> int:
    """Request a path at the unix socket, or else the port; return the status. Raise OSError or HTTPException."""
    connection = http.client.HTTPConnection("localhost", port, timeout=timeout)
    if unix:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(timeout)
        connection.sock.connect(unix)
    connection.request("GET", path)
    return connection.getresponse().status


def heartbeat_problem(role: str) -> str:
    age = time.time() - ALIVE.stat().st_mtime if ALIVE.exists() else None
    if age is None:
        return f"{role} has not started yet"
    return f"{role} was last alive {age:.0f} s ago" if age > LIMIT else ""


def worker_problem() -> str:
    return own_check_problem("file") or (
        "" if Path(os.environ["READY_FILE"]).read_text().startswith("consuming") else "worker takes no tasks yet"
    )


def note_alive() -> None:
    if os.environ.get("ROLE"):
        with contextlib.suppress(OSError):
            ALIVE.touch()


# ---- ways in which a team's process, [process.NAME] in production.toml, shows that it is ready ----


def own_check_problem(how: str) -> str:
    way, _, what = how.partition(" ")
    try:
        return WAYS[way](what)
    except (KeyError, ValueError):
        return f"{how!r} is none of: seconds N, file, port N, http [:N]/PATH"
    except (OSError, http.client.HTTPException) as error:
        return f"{how}: {error}"


def seconds(what: str) -> str:
    began = int(Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - began
    return "" if age >= int(what) else f"the process has run for only {age:.0f} s"


def file(_: str) -> str:
    path = os.environ.get("READY_FILE")
    if not path:
        return "READY_FILE is not set: readiness cannot be checked"
    return "" if os.path.exists(path) else "the process has not created its READY_FILE"


def port(what: str) -> str:
    socket.create_connection(("localhost", int(what)), 4).close()
    return ""


def page(what: str) -> str:
    number, slash, path = what.partition("/")
    status = ask(None, int(number.removeprefix(":") or 8000), slash + path)
    return "" if 200 <= status < 400 else f"the process answers {status} to {slash}{path}"


WAYS: dict[str, Callable[[str], str]] = {"seconds": seconds, "file": file, "port": port, "http": page}


if __name__ == "__main__":
    main(*sys.argv[1:])
