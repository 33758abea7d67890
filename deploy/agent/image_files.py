"""What an image holds, read as data: a container is made of it, never started, and removed. Nothing of it is run."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import time
from collections.abc import Iterator

from . import http
from .host import Host, Problem
from .shapes import BinaryIO, Member, Readable

SOCKET = "/run/docker.sock"
MOST = 2**30  # bytes that are read of an image at a time
MEMBERS = 100_000
SECONDS = 300
NUMBERS = itertools.count(1)


@contextlib.contextmanager
def opened(host: Host, image: str) -> Iterator[str]:
    """The name of a container of the image, for as long as the block runs."""
    sweep(host)
    name = "%s%d" % (ours(host), next(NUMBERS))
    try:
        host.docker("create", "--pull=never", "--network=none", "--name", name, "--entrypoint=-", image)
        yield name
    finally:
        remove(host, name)


def ours(host: Host) -> str:
    """What the names of this process's containers begin with."""
    return "%s-files-%d-" % (host.app, os.getpid())


def sweep(host: Host) -> None:
    """Remove what agents that were killed have left; while no engine answers it stays for the next one. Another app on
    this host may be called APP-files: nothing of that has two numbers at its end."""
    with contextlib.suppress(Problem):
        names = "name=^/?%s-files-[0-9]+-[0-9]+$" % host.app
        found = host.docker("ps", "-a", "--filter", names, "--format", "{{.Names}}", timeout=10).stdout
        left = [name for name in found.split() if not name.startswith(ours(host))]
        if left:
            remove(host, *left)


def remove(host: Host, *names: str) -> None:
    """Remove containers."""
    host.docker("rm", "-f", "-v", *names, check=False)


def folder(host: Host, image: str) -> str | None:
    """The image's working folder, where the project lies; None where there is no such image."""
    status, body = http.ask(host.root + SOCKET, "/images/%s/json" % image, timeout=30)
    if status not in (200, 404):
        raise Problem("Docker does not tell what image %s is: %s" % (image, status or body))
    return "/" + (json.loads(body)["Config"].get("WorkingDir") or "").strip("/") if status == 200 else None


def members(host: Host, container: str, path: str) -> Iterator[Member]:
    """Each thing below a path in the container, as (tarfile's word on it, its content in parts where it is a regular
    file); nothing where there is no such path. Raises Problem for what is too much, or did not arrive whole."""
    import tarfile  # only here: they take long to load
    import urllib.parse
    asked = "/containers/%s/archive?path=%s" % (container, urllib.parse.quote(path, safe=""))
    with http.stream(host.root + SOCKET, asked) as (status, body):
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
                    yield member, parts(content, path) if content else None
                    archive.members = []  # kept for a file that one can seek in
        except (tarfile.TarError, OSError) as error:
            raise Problem("%s in the image cannot be read: %s" % (path, error)) from None
        bounded.end()


def parts(file: Readable, path: str) -> Iterator[bytes]:
    """A file's content, piece by piece. Raises Problem where it breaks off."""
    import tarfile
    try:
        yield from iter(lambda: file.read(65536), b"")
    except tarfile.TarError as error:
        raise Problem("%s in the image cannot be read: %s" % (path, error)) from None


def text(host: Host, container: str, path: str, most: int = 2**24) -> str | None:
    """The text of a file in the container; None where there is no such file."""
    for member, content in members(host, container, path):
        if content and member.size <= most:
            return b"".join(content).decode(errors="replace")
        raise Problem("%s in the image is no file of at most %d bytes" % (path, most))
    return None


class Bounded:
    """A stream that is a Problem where it is too much, takes too long, or ends too soon."""

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
        """Raise Problem where a file of this size, the so many-th, is too much."""
        if size > self.left or self.left < 0 or number >= MEMBERS:
            raise Problem("%s in the image is too much: more than %d files, or %d MB" % (
                self.name, MEMBERS, MOST >> 20))

    def end(self) -> None:
        """What tar closes with has arrived."""
        while self.read(65536):
            pass
        if len(self.tail) < 1024 or self.tail.strip(b"\0"):
            raise Problem("%s did not arrive whole from the image" % self.name)
