"""What an image holds, read as data: a container is made of it, never started, and removed. Nothing of it is run."""

import contextlib
import itertools
import json
import os
import time

from . import http
from .host import Problem

SOCKET = "/run/docker.sock"
MOST = 2**30  # bytes that are read of an image at a time
MEMBERS = 100_000
SECONDS = 300
NUMBERS = itertools.count(1)


@contextlib.contextmanager
def opened(host, image):
    """The name of a container of the image, for as long as the block runs."""
    sweep(host)
    name = "%s%d" % (ours(host), next(NUMBERS))
    try:
        host.docker("create", "--pull=never", "--network=none", "--name", name, "--entrypoint=-", image)
        yield name
    finally:
        remove(host, name)


def ours(host):
    """What the names of this process's containers begin with."""
    return "%s-files-%d-" % (host.app, os.getpid())


def sweep(host):
    """Remove what agents that were killed have left; while no engine answers it stays for the next one. Another app on
    this host may be called APP-files: nothing of that has two numbers at its end."""
    with contextlib.suppress(Problem):
        names = "name=^/?%s-files-[0-9]+-[0-9]+$" % host.app
        found = host.docker("ps", "-a", "--filter", names, "--format", "{{.Names}}", timeout=10).stdout
        left = [name for name in found.split() if not name.startswith(ours(host))]
        if left:
            remove(host, *left)


def remove(host, *names):
    host.docker("rm", "-f", "-v", *names, check=False)


def folder(host, image):
    """The image's working folder, where the project lies; None where there is no such image."""
    status, body = http.ask(host.root + SOCKET, "/images/%s/json" % image, timeout=30)
    if status not in (200, 404):
        raise Problem("Docker does not tell what image %s is: %s" % (image, status or body))
    return "/" + (json.loads(body)["Config"].get("WorkingDir") or "").strip("/") if status == 200 else None


def members(host, container, path):
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
        body = Bounded(body, path)
        try:
            with tarfile.open(fileobj=body, mode="r|") as archive:
                for number, member in enumerate(archive):
                    body.expect(member.size, number)
                    yield member, parts(archive.extractfile(member), path) if member.isreg() else None
                    archive.members = []  # kept for a file that one can seek in
        except (tarfile.TarError, OSError) as error:
            raise Problem("%s in the image cannot be read: %s" % (path, error)) from None
        body.end()


def parts(file, path):
    import tarfile
    try:
        yield from iter(lambda: file.read(65536), b"")
    except tarfile.TarError as error:
        raise Problem("%s in the image cannot be read: %s" % (path, error)) from None


def text(host, container, path, most=2**24):
    """The text of a file in the container; None where there is no such file."""
    for member, content in members(host, container, path):
        if content and member.size <= most:
            return b"".join(content).decode(errors="replace")
        raise Problem("%s in the image is no file of at most %d bytes" % (path, most))
    return None


class Bounded:
    """A stream that is a Problem where it is too much, takes too long, or ends too soon."""

    def __init__(self, file, name):
        self.file, self.name, self.tail = file, name, b""
        self.left, self.deadline = MOST, time.monotonic() + SECONDS

    def read(self, size):
        data = self.file.read(size)
        self.left, self.tail = self.left - len(data), (self.tail + data)[-1024:]
        if time.monotonic() > self.deadline:
            raise Problem("%s could not be read from the image within %d s" % (self.name, SECONDS))
        self.expect(0, 0)
        return data

    def expect(self, size, number):
        if size > self.left or self.left < 0 or number >= MEMBERS:
            raise Problem("%s in the image is too much: more than %d files, or %d MB" % (
                self.name, MEMBERS, MOST >> 20))

    def end(self):
        """What tar closes with has arrived."""
        while self.read(65536):
            pass
        if len(self.tail) < 1024 or self.tail.strip(b"\0"):
            raise Problem("%s did not arrive whole from the image" % self.name)
