"""tapemock from Python, and as a pytest fixture: needs nothing but the standard library, and pytest for the fixture."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

FOLDER = Path(__file__).resolve().parent.parent
THERE = Path(os.environ.get("TAPEMOCK_PYTHON", sys.executable))


class Refused(Exception):
    """What tapemock says of what it was asked."""


class Tapemock:
    """One that runs: `source` is seen at `mount`."""

    def __init__(self, source: Path, mount: Path, process: "subprocess.Popen[bytes]", stderr: IO[bytes]) -> None:
        self.source, self.mount, self.process, self.stderr, self.url = source, mount, process, stderr, ""

    def said(self) -> str:
        """What the program wrote to its stderr, which is a file: it never waits for a reader."""
        return os.pread(self.stderr.fileno(), 1_000_000, 0).decode(errors="replace")

    def ask(self, method: str, address: str, /, **given: Any) -> Any:
        """What the API answers. Raises Refused."""
        body = json.dumps(given).encode() if method == "POST" else None
        request = urllib.request.Request(self.url + address, body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as said:
                return json.load(said)
        except urllib.error.HTTPError as error:
            raise Refused(json.load(error)["error"]) from None

    @contextlib.contextmanager
    def failing(self, path: str = "*", operation: str | list[str] | None = None, **how: Any) -> Iterator[Any]:
        """A fault, for as long as the block runs: failing("*.db", "write", errno="ENOSPC", after=4096)."""
        fault = self.ask("POST", "/faults", path=path, operation=operation or [], **how)
        try:
            yield fault
        finally:
            self.ask("DELETE", f"/faults/{fault['id']}")

    def archive(self, path: str) -> Any:
        """To tape, from which it is fetched before it can be read. Needs --tape."""
        return self.ask("POST", "/archive", path=path)

    def fetch(self, path: str, delay: float = 0) -> Any:
        """From tape, in so many seconds."""
        return self.ask("POST", "/fetch", path=path, delay=delay)

    def power_cut(self, names: bool = False) -> None:
        """Only what was synced is left; with `names`, all names are. Needs --power-cut."""
        self.ask("POST", "/power-cut", names=names)

    def log(self, after: int = 0) -> list[dict[str, Any]]:
        return list(self.ask("GET", f"/log/{after}"))

    def state(self) -> dict[str, Any]:
        return dict(self.ask("GET", "/"))


@contextlib.contextmanager
def mounted(source: Path, mount: Path, *options: str, python: Path = THERE) -> Iterator[Tapemock]:
    """`source` at `mount` while the block runs; both are made. Raises Refused where it cannot be mounted."""
    source.mkdir(parents=True, exist_ok=True)
    mount.mkdir(parents=True, exist_ok=True)
    command = [str(python), "-m", "tapemock", str(source), str(mount), "--http", "127.0.0.1:0", *options]
    env = {**os.environ, "PYTHONPATH": str(FOLDER)}
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, env=env, stderr=said,
                                                            start_new_session=True) as process:
        try:
            yield ready(Tapemock(source, mount, process, said))
        finally:
            ended(process, mount)


def ended(process: "subprocess.Popen[bytes]", mount: Path, seconds: float = 10) -> None:
    """By TERM. One that does not end in time is killed. No program waits for ever for what is left of its mount."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.returncode < 0:  # killed, by whomever, or crashed
        subprocess.run(["fusermount3", "-uz", mount], check=False, stderr=subprocess.DEVNULL)


def ready(tapemock: Tapemock, seconds: float = 10) -> Tapemock:
    """Once it is mounted. Raises Refused where it is not in time."""
    deadline = time.monotonic() + seconds
    while tapemock.process.poll() is None and time.monotonic() < deadline:
        tapemock.url = tapemock.said().partition("\n")[0].rpartition(", ")[2].removesuffix("/")
        with contextlib.suppress(OSError, ValueError):  # ValueError: it has not said its address
            if tapemock.state()["mounted"]:
                return tapemock
        time.sleep(.01)
    raise Refused(tapemock.said().strip().rpartition("\n")[2])


@pytest.fixture
def tapemock(tmp_path: Path) -> Iterator[Tapemock]:
    """An empty directory, seen through tapemock."""
    with mounted(tmp_path / "source", tmp_path / "mount") as running:
        yield running
