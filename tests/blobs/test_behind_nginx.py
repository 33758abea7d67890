"""Files in the database behind nginx, as servers have it: what slow clients cost."""

import contextlib
import random

import pytest
from blobs.commands import code
from host.conftest import ask, nginx  # noqa: F401: fixtures
from ops.served import serve

from connect import connection_to
from proc import wait_until

SIZE, SHORT = 48_000_000, 24_000_000  # nginx takes the short one
CONTENT = random.Random(1).randbytes(SIZE)
SAVE = f"""
content = random.Random(1).randbytes({SIZE})
s.save('large.bin', ContentFile(content))
s.save('short.bin', ContentFile(content[:{SHORT}]))
s.save('small.png', ContentFile(b'small'))
"""
both = pytest.mark.parametrize("server", ["wsgi", "asgi"])


@pytest.fixture
def site(tmp_path, nginx, sqlite_made):  # noqa: F811
    """A site of two threads behind nginx, or behind a balancer before that: `with site("wsgi") as port`."""
    @contextlib.contextmanager
    def serving(server, balanced=False):
        code(sqlite_made, SAVE)
        settings = "DEBUG = False\nALLOWED_HOSTS = ['*']\n"
        port = last = nginx.site("shop", media="database", balancers=["127.0.0.1"] if balanced else [])
        if balanced:
            last = nginx.balancer("shop", [port], media="database")
        with serve(tmp_path, settings, STORAGE_URL="database:", DATABASE_URL=sqlite_made, SERVER=server,
                   WEB_THREADS="2") as served:
            (nginx.root / "run/shop/a/web.sock").symlink_to(served.path)
            with nginx.serving(port, last):
                yield last
    return serving


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


def whole(connection):
    connection.request("GET", "/media/large.bin")
    response = connection.getresponse()
    return (response.status, response.read()) == (200, CONTENT)


def answers_others(port):
    for _ in range(4):
        assert ask(port, "/media/small.png")[::2] == (200, "small")


@both
@pytest.mark.parametrize("balanced", [False, True])
def test_slow_clients(site, server, balanced):
    """Of a file that nginx takes they hold no thread of the app, of which there are fewer; of longer ones half of them,
    and who comes then is asked to come again. Under ASGI they hold none."""
    with site(server, balanced=balanced) as port:
        with slow_clients(port, "short.bin", 5) as responses:
            answers_others(port)
            assert all(response.status == 200 and CONTENT[1000:SHORT] == response.read() for response in responses)
        with slow_clients(port, "large.bin", 4) as responses:
            answers_others(port)
            count = 4 if server == "asgi" else 1
            assert [response.status for response in responses] == [200] * count + [429] * (4 - count)
            assert CONTENT[1000:] == responses[0].read()
        with contextlib.closing(connection_to(port, 60)) as connection:
            wait_until(lambda: whole(connection), 20, "its place is free")
