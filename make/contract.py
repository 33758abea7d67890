"""`make contract-check`: does an image keep the contract of docs/contract.md? Starts it as docker-runner does, asks it.

    contract.py IMAGE:TAG [OPTION of docker run...]

Exit code 1 with a line for each term that it breaks.
"""

import json
import os
import shlex
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

DOCKER = shlex.split(os.environ.get("DOCKER", "docker"))
READY = float(os.environ.get("READY", "60"))  # seconds from the start to the first good answer
STOP = 30  # seconds from TERM to the end
FOLDER = "/run/contract"  # inside
ANYBODY = "54321:54321"
LIMITS = ["--init", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--pids-limit=1000",
          "--tmpfs=/tmp:size=256m,mode=1777,nosuid,nodev,noexec", f"--user={ANYBODY}", "--pull=never",
          "--no-healthcheck"]


@dataclass(frozen=True)
class Image:
    """`name`: with its tag, which is its release; `options`: more of docker run's."""

    name: str
    options: Sequence[str]

    @property
    def release(self) -> str:
        return self.name.rpartition(":")[2]


@dataclass(frozen=True)
class Answer:
    """An answer over HTTP: status 0 and why, where there is none."""

    status: int
    body: str


def docker(*words: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Run docker; what ended."""
    try:
        return subprocess.run([*DOCKER, *words], capture_output=True, text=True, errors="replace", timeout=seconds)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 124, "", f"took more than {seconds:.0f} s")


@contextmanager
def started(image: Image, folder: str) -> Iterator[str]:
    """The site in a container, as long as the block runs: its id."""
    done = docker("run", "-d", *LIMITS, "-v", f"{folder}:{FOLDER}", "-e", f"SOCKET={FOLDER}/web.sock", *image.options,
                  image.name, "run")
    if done.returncode:
        sys.exit(f"contract: docker run {image.name}: {last(done.stderr)}")
    container = done.stdout.strip()
    try:
        yield container
    finally:
        docker("rm", "-f", "-v", container)


def last(text: str) -> str:
    """The last line of what was said."""
    return (text.strip().splitlines() or ["it says nothing"])[-1][:300]


# ---- asking ----

def connect(path: Path) -> socket.socket:
    """A connection to the site's socket. Raises OSError."""
    asking = socket.socket(socket.AF_UNIX)
    asking.settimeout(10)
    asking.connect(str(path))
    return asking


def finish(asking: socket.socket, rest: bytes) -> Answer:
    """Send the rest of a request; the answer."""
    with closing(asking):
        try:
            asking.sendall(rest)
            head, _, body = b"".join(iter(lambda: asking.recv(65536), b"")).partition(b"\r\n\r\n")
            return Answer(int(head.split()[1]), body.decode(errors="replace"))
        except (OSError, ValueError, IndexError) as error:
            return Answer(0, str(error))


def get(path: Path, url: str) -> Answer:
    """The answer to a GET."""
    try:
        return finish(connect(path), request(url))
    except PermissionError:
        return Answer(0, "SOCKET may not be written to by others: umask 0 before it is made")
    except OSError as error:
        return Answer(0, f"nobody listens on SOCKET ({error.strerror})")


def request(url: str) -> bytes:
    """A GET, with which the connection ends."""
    return f"GET {url} HTTP/1.0\r\nHost: localhost\r\nX-Forwarded-Proto: https\r\n\r\n".encode()


# ---- the terms: each yields what is wrong ----

def gets_ready(image: Image, container: str, path: Path) -> Iterator[str]:
    """/readyz names the release, in time."""
    until, wrong = time.monotonic() + READY, "?"
    while wrong and time.monotonic() < until:
        if docker("inspect", "--format", "{{.State.Running}}", container).stdout.strip() != "true":
            wrong = "run: has ended"
            break
        wrong = not_ready(get(path, "/readyz"), image.release)
        time.sleep(0.2 if wrong else 0)
    if wrong:
        done = docker("logs", "--tail", "5", container)
        yield f"{wrong}; its log ends: {last(done.stdout + done.stderr)}"


def not_ready(answer: Answer, release: str) -> str:
    """Why that is no answer of /readyz by this release; "" where it is."""
    if answer.status != 200:
        return f"GET /readyz: {answer.status or answer.body}, not 200 within {READY:.0f} s"
    try:
        found = json.loads(answer.body)["release"]
    except (ValueError, KeyError, TypeError):
        return 'GET /readyz: has no JSON with "release"'
    return "" if found == release else f"GET /readyz: says release {found!r}, not the tag {release!r}"


def serves(path: Path) -> Iterator[str]:
    """Others may connect, and visitors see no error."""
    if not path.stat().st_mode & stat.S_IWOTH:
        mode = stat.S_IMODE(path.stat().st_mode)
        yield f"SOCKET: nginx may not write to it, mode {mode:o}: umask 0 before it is made"
    answer = get(path, "/")
    if not 100 <= answer.status < 500:
        yield f"GET /: {answer.status or answer.body}"


def drains(container: str, path: Path) -> Iterator[str]:
    """After TERM: who is connected is answered, then it ends."""
    whole = request("/readyz")
    asking, began = connect(path), time.monotonic()
    asking.sendall(whole[:-2])
    time.sleep(0.5)  # no event tells that it has been accepted
    docker("kill", "--signal", "TERM", container)
    time.sleep(0.5)
    answer = finish(asking, whole[-2:])
    if not answer.status:
        yield "TERM: drops a request that had begun"
    code = docker("wait", container, seconds=STOP).stdout.strip()
    if not code:
        yield f"TERM: has not ended after {STOP} s"
    elif code not in ("0", "143"):
        yield f"TERM: ends with {code} after {time.monotonic() - began:.0f} s"


def obeys(image: Image) -> Iterator[str]:
    """The commands of a deploy."""
    for words in ("migrate", "manage showmigrations --plan"):
        done = docker("run", "--rm", *LIMITS, *image.options, image.name, *words.split())
        if done.returncode:
            yield f"{words}: exit {done.returncode}: {last(done.stdout + done.stderr)}"
        elif "--plan" in words and not all(line[:3] in ("[X]", "[ ]") for line in done.stdout.split("\n") if line):
            yield f"{words}: prints what is no line of a plan: {last(done.stdout)}"


def broken(image: Image) -> Iterator[str]:
    """All terms that the image breaks."""
    yield from obeys(image)
    with tempfile.TemporaryDirectory(prefix="contract-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o777)
        path = Path(folder, "web.sock")
        with started(image, folder) as container:
            unready = list(gets_ready(image, container, path))
            yield from unready
            for term in () if unready else (serves(path), drains(container, path)):
                yield from told(term)


def told(term: Iterator[str]) -> Iterator[str]:
    """The same, and that the site goes away meanwhile."""
    try:
        yield from term
    except OSError as error:
        yield f"run: answers no more once it was ready ({error.strerror or error})"


def main(words: Sequence[str]) -> int:
    """The exit code."""
    image = Image(words[0], words[1:])
    if docker("image", "inspect", image.name).returncode:
        sys.exit(f"contract: there is no image {image.name} here: make build, or docker pull")
    wrong = list(broken(image))
    print("\n".join(f"contract: {line}" for line in wrong) or f"contract: {image.name} keeps it",
          file=sys.stderr if wrong else sys.stdout)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
