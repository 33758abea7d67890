"""Judge if an image keeps the contract of docs/image.md: `python3 make/contract.py IMAGE:TAG [OPTION of docker
run...]` starts it as docker-runner does, asks it, and ends with 1 and a line for each term that it breaks."""

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
STOP = 30  # seconds from TERM to the end
LIMITS = """--init --read-only --cap-drop=ALL --security-opt=no-new-privileges --pids-limit=1000 --user=54321:54321
            --tmpfs=/tmp:size=256m,mode=1777,nosuid,nodev,noexec --pull=never --no-healthcheck""".split()


def docker(*words: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Run docker; what ended."""
    try:
        return subprocess.run([*DOCKER, *words], capture_output=True, text=True, errors="replace", timeout=seconds)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 124, "", f"took more than {seconds:.0f} s")


def last(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of what it said."""
    return ((done.stdout + done.stderr).strip().splitlines() or ["it says nothing"])[-1][:300]


def ask(path: Path, url: str, meanwhile: Callable[[], object] = bool) -> tuple[int, str]:
    """Status and body of the answer to a GET; 0 and why where there is none. Does `meanwhile` before its last line."""
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
    """Why /readyz does not name the release in time; "" where it does."""
    until, status, body = time.monotonic() + READY, 0, ""
    while time.monotonic() < until:
        if docker("inspect", "--format", "{{.State.Running}}", container).stdout.strip() != "true":
            return "run: has ended"
        status, body = ask(path, "/readyz")
        if status == 200:
            named = re.search(rf'"release"\s*:\s*"{re.escape(release)}"', body)
            return "" if named else f"GET /readyz: says {body[:100]!r}, not the release {release!r}"
        time.sleep(0.2)
    return f"GET /readyz: {status or body}, not 200 within {READY:.0f} s"


def obeys(image: str, options: Sequence[str]) -> Iterator[str]:
    """The commands of a deploy."""
    for words in ("migrate", "manage showmigrations --plan"):
        done = docker("run", "--rm", *LIMITS, *options, image, *words.split())
        if done.returncode:
            yield f"{words}: exit {done.returncode}: {last(done)}"
        elif "--plan" in words and not re.fullmatch(r"(\[[X ]\].*\n|\n)*", done.stdout + "\n"):
            yield f"{words}: prints what is no line of a plan: {last(done)}"


def serves(path: Path) -> Iterator[str]:
    """Others may connect, and visitors see no error."""
    if path.exists() and not path.stat().st_mode & 0o002:
        yield f"SOCKET: nginx may not write to it, mode {path.stat().st_mode & 0o777:o}: umask 0 before it is made"
    status, body = ask(path, "/")
    if not 100 <= status < 500:
        yield f"GET /: {status or body}"


def drains(path: Path, container: str) -> Iterator[str]:
    """After TERM: who is connected is answered, then it ends."""
    def term() -> None:
        time.sleep(0.5)  # no event tells that the request has been accepted, nor that the signal has arrived
        docker("kill", "--signal", "TERM", container)
        time.sleep(0.5)
    if not ask(path, "/readyz", term)[0]:
        yield "TERM: drops a request that had begun"
    code = docker("wait", container, seconds=STOP).stdout.strip()
    if code not in ("0", "143"):
        yield f"TERM: ends with {code}" if code else f"TERM: has not ended after {STOP} s"


def broken(image: str, options: Sequence[str], folder: str) -> Iterator[str]:
    """All terms that the image breaks."""
    yield from obeys(image, options)
    path = Path(folder, "web.sock")
    os.chmod(folder, 0o777)
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
    name, *more = sys.argv[1:]
    if docker("image", "inspect", name).returncode:
        sys.exit(f"contract: there is no image {name} here: make build, or docker pull")
    with tempfile.TemporaryDirectory(prefix="contract-", ignore_cleanup_errors=True) as empty:
        found = list(broken(name, more, empty))
    sys.exit("\n".join(f"contract: {line}" for line in found) or print(f"contract: {name} keeps it"))
