"""Files in the database behind nginx, as servers have it: what slow clients cost."""

import contextlib
import hashlib
import os
import random
import time
from pathlib import Path

import pytest
from blobs.commands import code
from host.conftest import apps, ask, nginx  # noqa: F401: fixtures
from ops.served import serve

from connect import connection_to
from proc import run, wait_until

SIZE, SHORT, TAKEN = 48_000_000, 24_000_000, 32 * 1024 * 1024  # nginx takes the short one, and of the other as much
CONTENT = random.Random(1).randbytes(SIZE)
ETAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'
SAVE = f"""
content = random.Random(1).randbytes({SIZE})
s.save('large.bin', ContentFile(content))
s.save('short.bin', ContentFile(content[:{SHORT}]))
s.save('small.png', ContentFile(b'small'))
s.save('empty', ContentFile(b''))
"""
both = pytest.mark.parametrize("server", ["wsgi", "asgi"])


@pytest.fixture
def site(tmp_path, nginx, sqlite_made):  # noqa: F811
    """A site of two threads behind nginx, or behind a balancer before that: `with site("wsgi") as port`."""
    @contextlib.contextmanager
    def serving(server, media="database", balanced=False, waits="120s"):
        code(sqlite_made, SAVE)
        settings = "DEBUG = False\nALLOWED_HOSTS = ['*']\n"
        port = last = nginx.site("shop", media=media, balancers=["127.0.0.1"] if balanced else [])
        config = nginx.root / "etc/nginx/shop/app.conf"
        assert "send_timeout 120s;" in config.read_text()
        config.write_text(config.read_text().replace("send_timeout 120s;", f"send_timeout {waits};"))
        if balanced:
            last = nginx.balancer("shop", [port], media=media)
        with serve(tmp_path, settings, STORAGE_URL="database:", DATABASE_URL=sqlite_made, SERVER=server,
                   WEB_THREADS="2") as served:
            (nginx.root / "run/shop/a/web.sock").symlink_to(served.path)
            with nginx.serving(port, last) as process:
                yield last, process
    return serving


def kept(process):
    """Bytes in files that nginx's processes have open in its folder for answers: they have no name any more."""
    found = 0
    for pid in [process.pid, *run(["ps", "-o", "pid=", "--ppid", process.pid]).stdout.split()]:
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found += os.stat(path).st_size if "/tmp/proxy/" in os.readlink(path) else 0
    return found


@contextlib.contextmanager
def slow_clients(port, path, count):
    """So many ask for a file, one by one, and take the first bytes, if it is given to them."""
    with contextlib.ExitStack() as stack:
        responses = []
        for _ in range(count):
            connection = stack.enter_context(contextlib.closing(connection_to(port, 60)))
            connection.request("GET", f"/media/{path}")
            responses.append(connection.getresponse())
            assert responses[-1].status != 200 or len(responses[-1].read(1000)) == 1000
        yield responses


def answers_others(port):
    for _ in range(4):
        assert ask(port, "/media/small.png")[::2] == (200, "small")


@both
@pytest.mark.parametrize("balanced", [False, True])
def test_slow_clients(site, server, balanced):
    """Of a file that nginx takes they hold no thread of the app, of which there are fewer."""
    with site(server, balanced=balanced) as (port, process), slow_clients(port, "short.bin", 5) as responses:
        answers_others(port)
        for response in responses:
            assert response.status == 200 and CONTENT[1000:SHORT] == response.read()


@both
@pytest.mark.parametrize("balanced", [False, True])
def test_slow_clients_of_long_files(site, server, balanced):
    """nginx keeps no more than it should. They hold half of the threads: who comes then is asked to come again. Under
    ASGI they hold none."""
    with site(server, balanced=balanced) as (port, process):
        with slow_clients(port, "large.bin", 4) as responses:
            answers_others(port)
            count = 4 if server == "asgi" else 1
            wait_until(lambda: kept(process) >= TAKEN - 1_000_000, 60, "nginx takes what it may")
            assert [response.status for response in responses] == [200] * count + [429] * (4 - count)
            assert kept(process) <= count * (TAKEN + 1_000_000), "a balancer takes none besides"
            assert CONTENT[1000:] == responses[0].read()
            if count == 1:
                assert responses[1].headers["Retry-After"] == "5"
        wait_until(lambda: ask_whole(port) == (200, CONTENT), 20, "its place is free")


@pytest.mark.parametrize("balanced", [False, True])
def test_a_client_that_takes_long(site, balanced):
    """It gets all of a long file, though it takes longer to have what nginx keeps than nginx waits for one that takes
    nothing: here 4 s, and 2."""
    with site("wsgi", balanced=balanced, waits="2s") as (port, _):
        with contextlib.closing(connection_to(port, 60)) as connection:
            connection.request("GET", "/media/large.bin")
            response, begun, got = connection.getresponse(), time.monotonic(), bytearray()
            while part := response.read(400_000):
                got += part
                time.sleep(max(0, begun + len(got) / 8_000_000 - time.monotonic()))  # 8 MB/s
        assert got == CONTENT


def ask_whole(port):
    with contextlib.closing(connection_to(port, 60)) as connection:
        connection.request("GET", "/media/large.bin")
        response = connection.getresponse()
        return response.status, response.read()


def test_who_has_too_many(nginx, apps):  # noqa: F811
    """An address has no more downloads under way than a browser ever has; other pages are not counted."""
    port = nginx.site("shop", media="database", UPLOADS_MOST="2")
    app = apps("shop", "a", "v1")
    with nginx.serving(port), contextlib.ExitStack() as stack:
        for _ in range(2):
            connection = stack.enter_context(contextlib.closing(connection_to(port, 60)))
            connection.request("GET", "/media/slow", headers={"X-Hang": "1"})
        wait_until(lambda: app.hanging == 2)
        assert ask(port, "/media/a")[0] == 429 and ask(port, "/other")[0] == 200
        app.let_go.set()


@pytest.mark.parametrize("balanced", [False, True])
def test_what_clients_ask(site, balanced):
    """Is answered as without pieces: whole, in parts, on conditions."""
    with site("wsgi", balanced=balanced) as (port, _):
        for path, headers, status, body in (
                ("large.bin", {}, 200, CONTENT), ("empty", {}, 200, b""), ("small.png", {}, 200, b"small"),
                ("absent", {}, 404, None), ("large.bin", {"Range": "bytes=500000-600000"}, 206, CONTENT[500000:600001]),
                ("large.bin", {"Range": "bytes=-9"}, 206, CONTENT[-9:]),
                ("large.bin", {"Range": f"bytes={SIZE - 5}-"}, 206, CONTENT[-5:]),
                ("large.bin", {"Range": f"bytes={SIZE}-"}, 416, None),
                ("large.bin", {"Range": "bytes=0-1", "If_Range": ETAG}, 206, CONTENT[:2]),
                ("large.bin", {"Range": "bytes=0-1", "If_Range": '"other"'}, 200, CONTENT),
                ("large.bin", {"If_None_Match": ETAG}, 304, b""), ("large.bin", {"If_Match": '"other"'}, 412, None)):
            connection = connection_to(port, 60)
            with contextlib.closing(connection):
                connection.request("GET", f"/media/{path}",
                                   headers={name.replace("_", "-"): value for name, value in headers.items()})
                response = connection.getresponse()
                content = response.read()
            assert response.status == status and body in (None, content), (path, headers, response.status, len(content))
            if path == "large.bin" and status in (200, 206):
                assert (response.headers["ETag"], response.headers["Accept-Ranges"]) == (ETAG, "bytes")
                assert response.headers["Content-Disposition"] == "attachment"
        head = ask(port, "/media/large.bin", "HEAD")
        assert (head[0], head[1]["Content-Length"], head[2]) == (200, str(SIZE), "")
