"""Read files of an image, through a container that is created but never started."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Iterator
from typing import IO

from . import docker, http
from .host import Host, Problem, wait_until
from .message_types import BinaryIO, Member

MOST = 2**30  # limit: bytes of an archive that is read from an image
MEMBERS = 100_000  # limit: files and folders in an archive
TEXT = 2**24  # limit: bytes of a text file in an image
NUMBERS = itertools.count(1)
UNDERWAY: set[str] = set()  # containers that Docker is creating for this process
PATIENCE = 4  # seconds to wait for them; the watchdog waits longer


@contextlib.contextmanager
def create_container(host: Host, image: str) -> Iterator[str]:
    """Create a container of the image and yield the container's name. Remove the container afterwards."""
    name = f"{host.app}-files-{os.getpid()}-{next(NUMBERS)}"
    given = {"Image": image, "Entrypoint": ["-"], "HostConfig": {"NetworkMode": "none"}}
    what = f"docker create of {image}"
    try:
        UNDERWAY.add(name)
        try:
            created = docker.ask(host, "POST", "/containers/create?name=" + name, what, given)
        finally:
            UNDERWAY.discard(name)
        if not created:
            raise Problem(f"{what}: no such image")
        yield name
    finally:
        remove(host, name)


def await_creations() -> None:
    """Wait for the containers that Docker is creating. One that it makes after `remove_leftovers` would stay
    until the next deploy, so call this before the process ends."""
    wait_until(lambda: not UNDERWAY, PATIENCE)


def remove_leftovers(host: Host) -> None:
    """Remove the containers that killed agents created in `create_container`. No other agent may have one open."""
    path = docker.path_with_filter("/containers/json?all=1", "name", host.app + "-files-")
    with contextlib.suppress(Problem):
        containers = docker.ask(host, "GET", path, "docker ps", seconds=10) or ()
        ours = re.compile(f"/({re.escape(host.app)}-files-[0-9]+-[0-9]+)")  # digits exclude an app called APP-files
        names = [name for container in containers for name in container["Names"] or ()]
        for match in filter(None, map(ours.fullmatch, names)):
            remove(host, match[1])


def remove(host: Host, name: str) -> None:
    with contextlib.suppress(Problem):
        docker.ask(host, "DELETE", f"/containers/{name}?force=1&v=1", "docker rm " + name)


def folder(host: Host, image: str) -> str | None:
    inspected = docker.inspect_image(host, image)
    return inspected and "/" + ((inspected.get("Config") or {}).get("WorkingDir") or "").strip("/")


def members(host: Host, container: str, path: str) -> Iterator[Member]:
    """Yield what is at or below a path, if it exists. Raise Problem if the archive is too large or incomplete."""
    import tarfile  # only when needed: tarfile and urllib.parse load slowly
    import urllib.parse

    asked = f"/containers/{container}/archive?path={urllib.parse.quote(path, safe='')}"
    with http.stream(host.docker_sock, asked) as (status, body):
        if status == 404:
            return
        if status != 200:
            raise Problem(f"Docker answers {status} to a request for {path} in the image")
        bounded = Bounded(body, path)
        try:
            with tarfile.open(fileobj=bounded, mode="r|") as archive:  # type: ignore[call-overload]  # read() suffices
                for number, member in enumerate(archive):
                    bounded.expect(member.size, number)
                    content = archive.extractfile(member) if member.isreg() else None
                    yield member, read_chunks(content, path) if content else None
                    archive.members = []  # otherwise tarfile keeps every member in memory
        except (tarfile.TarError, OSError) as error:
            raise Problem(f"{path} in the image cannot be read: {error}") from None
        bounded.check_end()


def read_chunks(file: IO[bytes], path: str) -> Iterator[bytes]:
    import tarfile

    try:
        yield from iter(lambda: file.read(65536), b"")
    except tarfile.TarError as error:
        raise Problem(f"{path} in the image cannot be read: {error}") from None


def read_text(host: Host, container: str, path: str) -> str | None:
    """Return a file's text; None if it is missing. Raises Problem if it is not a regular file of at most TEXT bytes."""
    for member, content in members(host, container, path):
        if content and member.size <= TEXT:
            return b"".join(content).decode(errors="replace")
        raise Problem(f"{path} in the image is not a regular file of at most {TEXT} bytes")
    return None


class Bounded:
    """Reads a tar archive from Docker. Raises Problem if the archive is too large or incomplete."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file = file
        self.name = name
        self.tail = b""
        self.left = MOST

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.left -= len(data)
        self.tail = (self.tail + data)[-1024:]
        self.expect(0, 0)
        return data

    def expect(self, size: int, number: int) -> None:
        if size > self.left or self.left < 0 or number >= MEMBERS:
            raise Problem(f"{self.name} in the image is too large: more than {MEMBERS} files or {MOST >> 20} MB")

    def check_end(self) -> None:
        while self.read(65536):
            pass
        if len(self.tail) < 1024 or self.tail.strip(b"\0"):
            raise Problem(f"{self.name} could not be read completely from the image")
