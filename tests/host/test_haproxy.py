"""A swarm's proxy as shipped: Debian's HAProxy between nginx and containers, which unix sockets stand for."""

import contextlib
import json
import re
import socket

import pytest

from slipway.deploy import config
from slipway.deploy.swarm.stack import proxy_config
from proc import run, running, wait_until

from .conftest import App, ask, program
from .test_nginx import echoed, release

TOML = {"app": "shop", "image": "registry.example/shop", "media": "bucket",
        "hosts": {"web1": {"roles": ["web"], "internal": "10.0.0.11"}},
        "engine": {"kind": "swarm", "replicas": {"web": 3}}}


def written(count=3):
    """The file for so many containers."""
    engine = {**TOML["engine"], "replicas": {"web": count}}
    return proxy_config(config.build({**TOML, "engine": engine}, {}, "test"))[1]


@pytest.mark.parametrize("count, most", [(1, 6), (100, 204)])
def test_the_file_is_valid(tmp_path, count, most):
    """As it is shipped. There is room for twice the containers, and some that died."""
    path = tmp_path / "haproxy.cfg"
    path.write_text(written(count))
    done = run([program("haproxy"), "-c", "-f", path])
    assert done.returncode == 0, done.stderr
    assert f"server-template web {most} tasks.web:8000\n" in written(count)
    unknown = [line for line in done.stderr.splitlines() if "WARNING" in line and "could not resolve" not in line]
    assert not unknown, "no other warning than that there are no containers here"


class Behind:
    """nginx whose link leads to HAProxy, which has the sockets of slots a and b for containers."""

    def __init__(self, nginx):
        self.root, self.nginx, self.port = nginx.root, nginx, nginx.site("shop")
        (self.root / "run/proxy").mkdir()
        link = self.root / "run/shop/web.sock"
        link.unlink()
        link.symlink_to("../proxy/web.sock")
        servers = "".join(f"    server web{slot} unix@/run/shop/{slot}/web.sock\n" for slot in "ab")
        text = re.sub(r" resolvers docker resolve-prefer ipv4 init-addr libc,none", "", written())
        text, count = re.subn(r"    server-template .*\n", servers, text)
        assert count == 1
        nginx.put("haproxy.cfg", text)

    @contextlib.contextmanager
    def haproxy(self):
        """Runs while the block does; ready when it listens, and its master hears signals."""
        with running([program("haproxy"), "-W", "-db", "-f", self.root / "haproxy.cfg"]) as process:
            wait_until(lambda: "Loading success" in process.output() and connects(self.root / "run/proxy/web.sock"),
                       what=process.output)
            yield process


def connects(path):
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.connect(str(path))
    return True


@pytest.fixture
def behind(nginx):
    behind = Behind(nginx)
    with nginx.serving(behind.port):
        yield behind


def test_a_request_passes_untouched(behind, apps):
    """What nginx says of a visitor arrives as it says it, once; long headers and bodies and websockets pass."""
    apps("shop", "a", "v1"), apps("shop", "b", "v1")
    with behind.haproxy():
        answer = ask(behind.port, "/some%20where?a=1", Host="shop.example:8443", X_Forwarded_For="6.6.6.6",
                     Cookie="x" * 7000, Accept="y" * 7000, Referer="z" * 7000)
        got = echoed(answer[2])
        assert got["x-forwarded-for"] == "127.0.0.1" and got["x-forwarded-proto"] == "http"
        assert got["host"] == "shop.example:8443" and json.loads(answer[2])["path"] == "/some%20where?a=1"
        assert len(got["x-request-id"]) == 32 and len(got["cookie"] + got["accept"] + got["referer"]) == 21_000
        assert ask(behind.port, method="POST", body=b"x" * 1_900_000)[0] == 200
        assert b"hello from the socket" in upgraded(behind.port)
        assert ask(behind.port, X_Status="500")[0] == 500


def upgraded(port):
    """All that the app says to who asks for a websocket."""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(b"GET /upgrade HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        return b"".join(iter(lambda: sock.recv(1000), b""))


def test_what_may_have_been_done_is_not_done_twice(behind, apps):
    """Of two containers one breaks off: what only reads is asked of the other, a POST fails."""
    class Broken(App):
        count = 0

        def finish_request(self, request, address):
            asked = request.recv(1000)
            if b"/healthz" in asked:
                return request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            self.count += asked.startswith(b"POST")

    broken, whole = Broken(behind.root / "run/shop/a/web.sock", "v1"), apps("shop", "b", "v2")
    try:
        with behind.haproxy():
            assert {release(ask(behind.port)) for _ in range(10)} == {"v2"}
            posts = [ask(behind.port, method="POST", body=b"x")[0] for _ in range(10)]
            assert broken.count == posts.count(503) > 0 and posts.count(200) == 10 - broken.count
            assert whole.hanging == 0
    finally:
        broken.stop()
