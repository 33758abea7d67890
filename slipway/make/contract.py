"""Test an image by the rules in docs/image.md: `python3 -m slipway contract IMAGE:TAG [DOCKER RUN OPTION…]`."""

import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

DOCKER = shlex.split(os.environ.get("DOCKER", "docker"))
READY = float(os.environ.get("READY", "60"))  # seconds from the start to the first good answer
STOP = 30  # seconds from TERM to the container's exit
LIMITS = """--init --read-only --cap-drop=ALL --security-opt=no-new-privileges --pids-limit=1000 --user=54321:54321
            --tmpfs=/tmp:size=256m,mode=1777,nosuid,nodev,noexec --pull=never --no-healthcheck""".split()


def docker(*words: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [*DOCKER, *words], capture_output=True, text=True, errors="replace", timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 124, "", f"took more than {seconds:.0f} s")


def last(done: subprocess.CompletedProcess[str]) -> str:
    return ((done.stdout + done.stderr).strip().splitlines() or ["no output"])[-1][:300]


def ask(path: Path, url: str, meanwhile: Callable[[], object] = bool) -> tuple[int, str]:
    """Request `url` from the socket `path`; call `meanwhile` before the last line. Return (status, body or error)."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(10)
        try:
            asking.connect(str(path))
            asking.sendall(f"GET {url} HTTP/1.0\r\nHost: localhost\r\nX-Forwarded-Proto: https\r\n".encode())
            meanwhile()
            asking.sendall(b"\r\n")
            head, _, body = b"".join(iter(lambda: asking.recv(65536), b"")).partition(b"\r\n\r\n")
            return int(head.split()[1]), body.decode(errors="replace")
        except (OSError, ValueError, IndexError) as error:
            return 0, f"SOCKET: {error}"


def unready(path: Path, release: str, container: str) -> str:
    """Wait up to READY seconds until /readyz answers 200. Return "" if the answer names `release`, else an error."""
    until, status, body = time.monotonic() + READY, 0, ""
    while time.monotonic() < until:
        if docker("inspect", "--format", "{{.State.Running}}", container).stdout.strip() != "true":
            return "run: the container has exited"
        status, body = ask(path, "/readyz")
        if status == 200:
            named = re.search(rf'"release"\s*:\s*"{re.escape(release)}"', body)
            return "" if named else f"GET /readyz: answers {body[:100]!r} without the release {release!r}"
        time.sleep(0.2)
    return f"GET /readyz: {status or body}, not 200 within {READY:.0f} s"


def obeys(image: str, options: Sequence[str]) -> Iterator[str]:
    for words in ("migrate", "manage showmigrations --plan"):
        done = docker("run", "--rm", *LIMITS, *options, image, *words.split())
        if done.returncode:
            yield f"{words}: exit {done.returncode}: {last(done)}"
        elif "--plan" in words and (extra := re.search(r"^(?!\[[X ]\]|$).*", done.stdout, re.MULTILINE)):
            yield f"{words}: prints more than a plan: {extra[0]}"


def serves(path: Path) -> Iterator[str]:
    """Yield what is wrong with the socket's permissions and the home page."""
    if path.exists() and not path.stat().st_mode & 0o002:
        yield f"SOCKET: nginx may not write to it, mode {path.stat().st_mode & 0o777:o}: set umask 0 before you make it"
    status, body = ask(path, "/")
    if not 100 <= status < 500:
        yield f"GET /: {status or body}"


def drains(path: Path, container: str) -> Iterator[str]:
    """Send TERM during a request. Yield errors unless the container answers, and exits with 0 or 143 within STOP s."""

    def term() -> None:
        time.sleep(2)  # no event reports that the site has accepted the request or got the signal
        docker("kill", "--signal", "TERM", container)
        time.sleep(2)

    if not ask(path, "/readyz", term)[0]:
        yield "TERM: an open request gets no answer"
    code = docker("wait", container, seconds=STOP).stdout.strip()
    if code not in ("0", "143"):
        yield f"TERM: exit code {code}, not 0 or 143" if code else f"TERM: still runs after {STOP} s"


def broken(image: str, options: Sequence[str], folder: str) -> Iterator[str]:
    yield from obeys(image, options)
    path = Path(folder, "web.sock")
    os.chmod(folder, 0o777)  # noqa: S103  a temporary folder, for whatever user the image has
    seen = ["-v", f"{folder}:/run/it", "-e", "SOCKET=/run/it/web.sock"]
    done = docker("run", "-d", *LIMITS, *seen, *options, image, "run")
    container = done.stdout.strip()
    try:
        if wrong := last(done) if done.returncode else unready(path, image.rpartition(":")[2], container):
            yield f"{wrong}; its log ends: {last(docker('logs', '--tail', '5', container))}"
        else:
            yield from (*serves(path), *drains(path, container))
    finally:
        docker("rm", "-f", "-v", container)


if __name__ == "__main__":
    name, *options = sys.argv[1:]
    if docker("image", "inspect", name).returncode:
        sys.exit(f"contract: there is no image {name} here: make build, or docker pull")
    with tempfile.TemporaryDirectory(prefix="contract-", ignore_cleanup_errors=True) as empty:
        problems = list(broken(name, options, empty))
    sys.exit("\n".join(f"contract: {line}" for line in problems) or print(f"contract: {name} keeps the contract"))
