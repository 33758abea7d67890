"""The files that a deploy takes out of an image. A stand-in for the engine sends what a hostile image may hold."""

import io
import json
import os
import re
import socketserver
import stat
import tarfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from connect import served
from slipway.deploy.agent import image_files, images, serve, takeback
from slipway.deploy.agent.host import Host, Problem
from slipway.deploy.agent.steps import publish as publisher

NAMES = {"site.css": "site.0123.css", "img/logo.svg": "img/logo.4567.svg"}
FILES = {
    "site.0123.css": b"body {}",
    "site.0123.css.gz": b"packed",
    "img/logo.4567.svg": b"<svg/>",
    "site.css": b"plain",
    "CACHE/css/all.89.css": b"all",
    "CACHE/manifest.json": b"{}",
}
PUBLISHED = {"site.0123.css", "site.0123.css.gz", "img/logo.4567.svg", "CACHE/css/all.89.css"}


class Engine(Host):
    """A host whose engine sends these archives: path → bytes."""

    def __init__(self, root, archives):
        super().__init__("shop", str(root))
        self.archives, self.asked, self.left, self.called = archives, [], [], []
        os.makedirs(self.root + "/run/shop")
        os.makedirs(self.var + "/static")

    def call(self, *words, **options):
        self.called.append(words)
        return super().call(*words, **options)

    def answer(self, request):
        method, path, *_ = request.split()
        if path.startswith("/images/"):
            return json.dumps({"Config": {"WorkingDir": "/app"}}).encode()
        if "/archive" not in path:
            found = re.fullmatch(r"/containers/(?:create.name=)?([\w-]+).*", path)
            self.asked.append((method, found[1], request))
            return json.dumps(
                [{"Names": ["/" + name]} for name in self.left]
                if method == "GET"
                else {}
                if method == "DELETE"
                else {"Id": "1"}
            ).encode()
        return self.archives.get(path.partition("path=")[2].replace("%2F", "/"))

    @contextmanager
    def up(self):
        engine = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                body = engine.answer(self.request.recv(65536).decode())
                head = b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n" if body is not None else b"HTTP/1.0 404 Not Found\r\n\r\n"
                with suppress(BrokenPipeError):
                    self.request.sendall(head + (body or b""))

        with served(socketserver.UnixStreamServer(self.root + "/run/docker.sock", Handler)):
            yield self


def tar(*members):
    """Return a tar archive of these members: each a TarInfo, or (name, content)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member in members:
            info = member
            if isinstance(member, tuple):
                info = tarfile.TarInfo(member[0])
                info.size, info.mode = len(member[1]), 0o6777
            archive.addfile(info, io.BytesIO(member[1]) if isinstance(member, tuple) else None)
    return out.getvalue()


def special(name, kind, target=""):
    info = tarfile.TarInfo("static-root/" + name)
    info.type, info.linkname = kind, target
    return info


def root(*extra, without=()):
    """Return the archive of the folder static-root."""
    return tar(
        special("", tarfile.DIRTYPE),
        *((f"static-root/{name}", content) for name, content in FILES.items() if name not in without),
        *extra,
    )


def unended(archive):
    """Return the archive without the zero bytes that end it."""
    return archive[: (len(archive.rstrip(b"\0")) + 511) // 512 * 512]


def manifest(paths):
    return tar(("staticfiles.json", json.dumps({"paths": paths}).encode()))


@contextmanager
def host_with(tmp_path, archive, paths=NAMES):
    archives = {"/app/static-root": archive, "/app/static-root/staticfiles.json": manifest(paths)}
    with Engine(tmp_path / "root", archives).up() as host:
        yield host


def publish(host):
    attempt = SimpleNamespace(noted={"image_id": "sha256:1"}, note=lambda **values: None)
    publisher.publish(host, attempt, lambda event: None)


def modes(host):
    """Return name → mode of every file below static."""
    folder = host.var + "/static"
    return {
        os.path.relpath(os.path.join(parent, name), folder): os.lstat(os.path.join(parent, name)).st_mode
        for parent, _, names in os.walk(folder)
        for name in names
    }


def test_files_leave_an_image_as_data(tmp_path):
    with host_with(tmp_path, root()) as host:
        before = os.umask(0o077)
        try:
            publish(host)
        finally:
            os.umask(before)
        assert modes(host) == dict.fromkeys(PUBLISHED, stat.S_IFREG | 0o644)
        assert Path(host.var, "static/site.0123.css").read_text() == "body {}"
    ((_, name, made),) = [said for said in host.asked if said[0] == "POST"]
    assert [said[:2] for said in host.asked] == [("POST", name), ("DELETE", name)]
    assert json.loads(made.partition("\r\n\r\n")[2]) == {
        "Image": "sha256:1",
        "Entrypoint": ["-"],
        "HostConfig": {"NetworkMode": "none"},
    }
    assert "force=1&v=1" in host.asked[-1][2]


HOSTILE = {
    "a link": root(special("site.0123.css", tarfile.SYMTYPE, "/etc/shadow"), without=["site.0123.css"]),
    "a hard link": root(
        special("img/logo.4567.svg", tarfile.LNKTYPE, "static-root/site.css"), without=["img/logo.4567.svg"]
    ),
    "a device": root(special("site.0123.css.br", tarfile.BLKTYPE)),
    "a pipe": root(special("CACHE/js/x.js", tarfile.FIFOTYPE)),
    "a way out": root(("static-root/CACHE/css/../../../evil", b"")),
    "a terminal's escape": root(("static-root/CACHE/css/\033[2J.css", b"")),
    "a file that did not come": root(without=["img/logo.4567.svg"]),
    "an archive without its end": unended(root()),
    "no archive": b"x" * 4096,
    "half a file": tar(("static-root/site.0123.css", b"x" * 4096))[:1024],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_nothing_of_a_hostile_image_lands(tmp_path, what):
    with host_with(tmp_path, HOSTILE[what]) as host:
        with pytest.raises(Problem, match="image"):
            publish(host)
        assert not modes(host) and os.listdir(host.var) == ["static"] and host.asked[-1][0] == "DELETE"


@pytest.mark.parametrize("name", ["../evil", "/etc/cron.d/evil", "a//b", "", "a\nb", 7])
def test_a_manifest_names_files_below_the_folder(tmp_path, name):
    with host_with(tmp_path, root(), {"x": name}) as host, pytest.raises(Problem, match="unsafe name"):
        publish(host)
    with pytest.raises(Problem, match="is no valid manifest"):
        publisher.parse_manifest("[" * 100_000)


@pytest.mark.parametrize("limit, value", [("MOST", 4096), ("MEMBERS", 5), ("", 0)])
def test_an_image_has_limits(tmp_path, monkeypatch, limit, value):
    huge = tarfile.TarInfo("static-root/CACHE/css/huge.css")
    huge.size = 2**40
    if limit:
        monkeypatch.setattr(image_files, limit, value)
    archive = root(("static-root/big", b"x" * 8192)) if limit else unended(root()) + huge.tobuf()
    with host_with(tmp_path, archive) as host:
        with pytest.raises(Problem, match="too large"):
            publish(host)
        assert not modes(host)


def test_no_link_on_the_host_is_followed(tmp_path):
    with host_with(tmp_path, root()) as host:
        folder = host.var + "/static"
        os.symlink("/etc/passwd", folder + "/site.0123.css")
        open(folder + "/old.css", "w").close()
        os.symlink(tmp_path, folder + "/img")
        with pytest.raises(Problem, match="there is a symlink in"):
            publish(host)
        assert not (tmp_path / "logo.4567.svg").exists()
        os.remove(folder + "/img")
        publish(host)
        assert modes(host).keys() == PUBLISHED | {"old.css"} and os.readlink(folder + "/site.0123.css") == "/etc/passwd"


def test_only_the_disk_of_new_files_is_waited_for(tmp_path, monkeypatch):
    """New files are synced before and after their rename, known ones never. Other file systems are not synced."""
    monkeypatch.setattr(os, "sync", lambda: pytest.fail("all file systems are waited for"))
    with host_with(tmp_path, root()) as host:
        for _ in range(2):
            publish(host)
        assert host.called == [("sync", "-f", host.var + "/static")] * 2


def test_a_text_in_an_image(tmp_path):
    archives = {
        "/app/migrations.json": tar(("migrations.json", b'{"a": 1}')),
        "/app/link": tar(special("x", tarfile.SYMTYPE, "/etc/shadow")),
    }
    with Engine(tmp_path / "root", archives).up() as host:
        assert images.read_file(host, "sha256:1", "migrations.json") == '{"a": 1}'
        assert images.read_file(host, "sha256:1", "other.json") is None
        with pytest.raises(Problem, match="is not a regular file"):
            images.read_file(host, "sha256:1", "link")
        assert {said[0] for said in host.asked} == {"POST", "DELETE"}
        publish(host)
        assert not modes(host)


def test_what_a_killed_agent_left_is_removed(tmp_path):
    """At once, as its attempt ends; not by the next deploy."""
    with Engine(tmp_path / "root", {}).up() as host:
        host.left = ["shop-files-999999-1", "shop-files-web-a", "shop-files-migrate"]
        takeback.settle(host, lambda event: None)
    assert [said[:2] for said in host.asked] == [("GET", "json"), ("DELETE", "shop-files-999999-1")]


def test_an_agent_that_ends_waits_for_what_docker_is_creating(tmp_path, monkeypatch):
    """Otherwise Docker makes the container after the sweep, and it stays until the next deploy."""
    asked, held, ends = threading.Event(), threading.Event(), []

    def answer(request):
        if "/create" in request:
            asked.set()
            held.wait(10)
        return Engine.answer(host, request)

    def read():
        with image_files.create_container(host, "sha256:1"):
            pass

    with Engine(tmp_path / "root", {}).up() as host:
        monkeypatch.setattr(host, "answer", answer)
        monkeypatch.setattr(os, "_exit", lambda code: ends.append(held.is_set()))
        reader = threading.Thread(target=read)
        reader.start()
        asked.wait(10)
        threading.Timer(0.3, held.set).start()
        serve.leave()
        reader.join(10)
    assert ends == [True]
