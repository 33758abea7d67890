"""Start tapemock in a test, and end it."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent.parent


class Refused(Exception):
    """tapemock refuses a request, or does not start."""


class Tapemock:
    """A running tapemock. Creating it raises Refused if the file system cannot be mounted."""

    def __init__(self, source: Path, mount: Path, process: "subprocess.Popen[bytes]", stderr: Path) -> None:
        self.source, self.mount, self.process, self.errors = source, mount, process, stderr.read_text
        assert process.stdout  # noqa: S101  for types
        self.url = process.stdout.readline().decode().strip().rpartition(", ")[2]
        if not self.url and process.wait():
            raise Refused(self.errors().strip().rpartition("\n")[2])

    def ask(self, method: str, address: str, /, **given: Any) -> Any:
        body = json.dumps(given).encode() if method == "POST" else None
        request = urllib.request.Request(self.url + address, body, method=method)  # noqa: S310  our own URL
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Refused(json.load(error)["error"]) from None

    @contextlib.contextmanager
    def failing(self, path: str = "*", operation: str | list[str] | None = None, **how: Any) -> Iterator[Any]:
        """Make operations fail while the block runs: failing("*.db", "write", errno="ENOSPC", after=4096)."""
        fault = self.ask("POST", "/faults", path=path, operation=operation or [], **how)
        try:
            yield fault
        finally:
            self.ask("DELETE", f"/faults/{fault['id']}")

    def fetch(self, path: str, delay: float = 0) -> Any:
        """Fetch a file from tape in the background, after `delay` seconds. Needs option --tape."""
        return self.ask("POST", "/fetch", path=path, delay=delay)

    def power_cut(self, names: bool = False) -> None:
        """Drop all data that is not synced; with `names`, keep all file names. Needs tapemock's option --power-cut."""
        self.ask("POST", "/power-cut", names=names)

    def log(self) -> list[dict[str, Any]]:
        return list(self.ask("GET", "/log"))


@contextlib.contextmanager
def mounted(source: Path, mount: Path, *options: str, python: str | Path = sys.executable) -> Iterator[Tapemock]:
    """Mount the folder `source` at `mount` while the block runs. Create missing folders."""
    source.mkdir(parents=True, exist_ok=True)
    mount.mkdir(parents=True, exist_ok=True)
    command = [str(python), "-m", "tapemock", str(source), str(mount), "--http", "127.0.0.1:0", *options]
    env = {**os.environ, "PYTHONPATH": str(FOLDER)}
    with (
        tempfile.NamedTemporaryFile() as errors,
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=errors, start_new_session=True) as process,
    ):
        try:
            yield Tapemock(source, mount, process, Path(errors.name))
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            if process.wait() < 0:  # it was killed: unmount, so that no program hangs
                subprocess.run(["fusermount3", "-uz", mount], check=False, stderr=subprocess.DEVNULL)


@pytest.fixture
def tapemock(tmp_path: Path) -> Iterator[Tapemock]:
    with mounted(tmp_path / "source", tmp_path / "mount") as running:
        yield running
