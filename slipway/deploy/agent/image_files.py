"""What an image holds, read as data: a container is made of it, never started, and removed. Nothing in it is run."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import time
from collections.abc import Iterator

from . import docker, http
from .host import Host, Problem
from .shapes import BinaryIO, Member, Readable

MOST = 2**30  # bytes that are read of an image at a time
MEMBERS = 100_000  # files and folders
SECONDS = 300  # for all of it
TEXT = 2**24  # bytes of a file that is read as text
NUMBERS = itertools.count(1)
NAMED = "%%7B%%22name%%22:%%5B%%22%s-files-%%22%%5D%%7D"  # {"name":["APP-files-"]}


@contextlib.contextmanager
def opened(host: Host, image: str) -> Iterator[str]:
    """The name of a container of the image, for as long as the block runs."""
    sweep(host)
    name = "%s%d" % (prefix(host), next(NUMBERS))
    given = {"Image": image, "Entrypoint": ["-"], "HostConfig": {"NetworkMode": "none"}}
    what = "docker create of %s" % image
    try:
        if not docker.ask(host, "POST", "/containers/create?name=" + name, what, given):
            raise Problem("%s: there is no such image" % what)
        yield name
    finally:
        remove(host, name)


def prefix(host: Host) -> str:
    """What the names of this process's containers begin with."""
    return "%s-files-%d-" % (host.app, os.getpid())


def sweep(host: Host) -> None:
    """Remove containers that killed agents have left. Where the engine does not answer the next agent does it. Another
    app on this host may be called APP-files: no name of its containers ends in two numbers."""
    path = "/containers/json?all=1&filters=" + NAMED % host.app
    with contextlib.suppress(Problem):
        found = docker.ask(host, "GET", path, "docker ps", seconds=10) or ()
        ours = re.compile("/(%s-files-[0-9]+-[0-9]+)" % re.escape(host.app))
        for match in (match for one in found for match in map(ours.fullmatch, one["Names"] or ()) if match):
            if not match[1].startswith(prefix(host)):
                remove(host, match[1])


def remove(host: Host, name: str) -> None:
    """Remove a container, and what goes with it. Where that fails the next agent does it."""
    with contextlib.suppress(Problem):
        docker.ask(host, "DELETE", "/containers/%s?force=1&v=1" % name, "docker rm " + name)


def folder(host: Host, image: str) -> str | None:
    """The image's working folder, where the project lies; None where there is no such image."""
    found = docker.image(host, image)
    return found and "/" + ((found.get("Config") or {}).get("WorkingDir") or "").strip("/")


def members(host: Host, container: str, path: str) -> Iterator[Member]:
    """Yield (TarInfo, content piece by piece or None) of each thing below a path in the container; nothing without such
    a path. Raises Problem for what is too much, or did not arrive whole."""
    import tarfile  # only here: they take long to load
    import urllib.parse
    asked = "/containers/%s/archive?path=%s" % (container, urllib.parse.quote(path, safe=""))
    with http.stream(host.docker_sock, asked) as (status, body):
        if status == 404:
            return
        if status != 200:
            raise Problem("Docker answers %d when it is asked for %s in the image" % (status, path))
        bounded = Bounded(body, path)
        try:
            with tarfile.open(fileobj=bounded, mode="r|") as archive:  # type: ignore[call-overload]  # it only reads
                for number, member in enumerate(archive):
                    bounded.expect(member.size, number)
                    content = archive.extractfile(member) if member.isreg() else None
                    yield member, pieces(content, path) if content else None
                    archive.members = []  # tarfile keeps them for seeking
        except (tarfile.TarError, OSError) as error:
            raise Problem("%s in the image cannot be read: %s" % (path, error)) from None
        bounded.check_end()


def pieces(file: Readable, path: str) -> Iterator[bytes]:
    """A file's content, piece by piece. Raises Problem where it breaks off."""
    import tarfile
    try:
        yield from iter(lambda: file.read(65536), b"")
    except tarfile.TarError as error:
        raise Problem("%s in the image cannot be read: %s" % (path, error)) from None


def text(host: Host, container: str, path: str) -> str | None:
    """Return a file's text, or None without one. Raises Problem for what is no file, or larger than TEXT."""
    for member, content in members(host, container, path):
        if content and member.size <= TEXT:
            return b"".join(content).decode(errors="replace")
        raise Problem("%s in the image is no file of at most %d bytes" % (path, TEXT))
    return None


class Bounded:
    """A stream that raises Problem where it is too much, takes too long, or ends too soon."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file, self.name, self.tail = file, name, b""
        self.left, self.deadline = MOST, time.monotonic() + SECONDS

    def read(self, size: int) -> bytes:
        """The next bytes. Raises Problem where they are one too many, or too late."""
        data = self.file.read(size)
        self.left, self.tail = self.left - len(data), (self.tail + data)[-1024:]
        if time.monotonic() > self.deadline:
            raise Problem("%s could not be read from the image within %d s" % (self.name, SECONDS))
        self.expect(0, 0)
        return data

    def expect(self, size: int, number: int) -> None:
        """Raise Problem where a file of this size, with this number among all, is too much."""
        if size > self.left or self.left < 0 or number >= MEMBERS:
            raise Problem("%s in the image is too much: more than %d files, or %d MB" % (
                self.name, MEMBERS, MOST >> 20))

    def check_end(self) -> None:
        """Raise Problem unless what ends a tar archive has arrived."""
        while self.read(65536):
            pass
        if len(self.tail) < 1024 or self.tail.strip(b"\0"):
            raise Problem("%s did not arrive whole from the image" % self.name)
