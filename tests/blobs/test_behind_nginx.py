"""Tests of files in the database behind nginx, as on servers: the cost of slow clients."""

import contextlib
import random

import pytest

from blobs.commands import code
from connect import connection_to
from host.conftest import ask, nginx  # noqa: F401  fixtures
from ops.served import serve
from proc import wait_until

SIZE, SHORT = 48_000_000, 24_000_000  # nginx buffers all of the short one
CONTENT = random.Random(1).randbytes(SIZE)
SAVE = f"""
content = random.Random(1).randbytes({SIZE})
s.save('large.bin', ContentFile(content))
s.save('short.bin', ContentFile(content[:{SHORT}]))
s.save('small.png', ContentFile(b'small'))
"""


@contextlib.contextmanager
def slow_clients(port, path, count):
    """Start `count` downloads one by one, and read only the first bytes of each that is answered with 200."""
    with contextlib.ExitStack() as stack:
        responses = []
        for _ in range(count):
            connection = stack.enter_context(contextlib.closing(connection_to(port, 60)))
            connection.request("GET", f"/media/{path}")
            responses.append(connection.getresponse())
            assert responses[-1].status != 200 or len(responses[-1].read(1000)) == 1000
        yield responses


def whole(connection):
    connection.request("GET", "/media/large.bin")
    response = connection.getresponse()
    return (response.status, response.read()) == (200, CONTENT)


@pytest.mark.parametrize("server, count", [("wsgi", 1), ("asgi", 4)])
def test_slow_clients(server, count, tmp_path, nginx, sqlite_made):  # noqa: F811
    """Slow clients hold no thread if nginx buffers the file. For longer files they hold half of the threads, and
    further clients get status 429. Under ASGI they hold none."""
    code(sqlite_made, SAVE)
    host = nginx.site("shop", balancers=["127.0.0.1"])
    port = nginx.balancer("shop", [host])
    with (
        serve(
            tmp_path,
            "DEBUG = False\nALLOWED_HOSTS = ['*']\n",
            STORAGE_URL="database:",
            DATABASE_URL=sqlite_made,
            SERVER=server,
            WEB_THREADS="2",
        ) as served,
        nginx.serving(host, port),
    ):
        (nginx.root / "run/shop/a/web.sock").symlink_to(served.path)
        with slow_clients(port, "short.bin", 5) as responses:
            assert {ask(port, "/media/small.png")[::2] for _ in range(4)} == {(200, "small")}
            assert all(response.status == 200 and CONTENT[1000:SHORT] == response.read() for response in responses)
        with slow_clients(port, "large.bin", 4) as responses:
            assert {ask(port, "/media/small.png")[::2] for _ in range(4)} == {(200, "small")}
            assert [response.status for response in responses] == [200] * count + [429] * (4 - count)
            assert CONTENT[1000:] == responses[0].read()
        with contextlib.closing(connection_to(port, 60)) as connection:
            wait_until(lambda: whole(connection), 120, "its place is free")
