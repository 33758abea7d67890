"""A swarm's proxy as shipped: Debian's HAProxy between nginx and unix sockets that stand for containers."""

import contextlib
import json
import re

import pytest

from proc import run, running, wait_until
from slipway.deploy import config
from slipway.deploy.swarm.stack import proxy_config

from .conftest import App, ask, program
from .test_nginx import echoed, release


def written(count=3):
    """Return HAProxy's file for `count` containers."""
    return proxy_config(
        config.build(
            {
                "app": "shop",
                "image": "registry.example/shop",
                "media": "bucket",
                "hosts": {"web1": {"roles": ["web"], "internal": "10.0.0.11"}},
                "engine": {"kind": "swarm", "replicas": {"web": count}},
            },
            {},
            "test",
        )
    )[1]


def test_the_file_is_valid(tmp_path):
    """HAProxy accepts the shipped file (here without DNS). It has room for twice the containers, and some more."""
    assert "server-template web 204 tasks.web:8000\n" in written(100)
    path = tmp_path / "haproxy.cfg"
    path.write_text(written().replace("init-addr libc,none", "init-addr none"))
    done = run([program("haproxy"), "-c", "-f", path])
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr


@pytest.fixture
def behind(nginx, apps):
    """start(): start HAProxy between nginx and the sockets of slots a and b, once these listen; return nginx's port."""
    port, root = nginx.site("shop"), nginx.root
    socket_path = root / "run/proxy/web.sock"
    socket_path.parent.mkdir()
    nginx.flip("shop", "../proxy")
    servers = "".join(f"    server web{slot} unix@/run/shop/{slot}/web.sock\n" for slot in "ab")
    text = written().replace(" resolvers docker resolve-prefer ipv4 init-addr libc,none", "")
    nginx.put("haproxy.cfg", re.sub(r"    server-template .*\n", servers, text))
    with nginx.serving(port), contextlib.ExitStack() as started:

        def start():
            process = started.enter_context(running([program("haproxy"), "-W", "-db", "-f", root / "haproxy.cfg"]))
            wait_until(lambda: "Loading success" in process.output() and ask(socket_path), what=process.output)
            return port

        yield start


def test_a_request_passes_untouched(behind, apps):
    """nginx's headers about a visitor arrive unchanged and once; long headers, bodies and websockets pass."""
    apps("shop", "a", "v1"), apps("shop", "b", "v1")
    port = behind()
    answer = ask(
        port,
        "/some%20where?a=1",
        Host="shop.example:8443",
        X_Forwarded_For="6.6.6.6",
        Cookie="x" * 7000,
        Accept="y" * 7000,
        Referer="z" * 7000,
    )
    got = echoed(answer[2])
    assert got["x-forwarded-for"] == "127.0.0.1" and got["x-forwarded-proto"] == "http"
    assert got["host"] == "shop.example:8443" and json.loads(answer[2])["path"] == "/some%20where?a=1"
    assert len(got["x-request-id"]) == 32 and len(got["cookie"] + got["accept"] + got["referer"]) == 21_000
    assert ask(port, method="POST", body=b"x" * 1_900_000)[0] == 200
    assert (
        ask(
            port,
            "/upgrade",
            Upgrade="websocket",
            Connection="Upgrade",
            **{"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="},
        )[0]
        == 101
    )


def test_what_may_have_been_done_is_not_done_twice(behind, nginx, apps):
    """If one of two containers breaks off, a GET is sent to the other one; a POST fails."""

    class Broken(App):
        count = 0

        def finish_request(self, request, address):
            asked = request.recv(1000)
            if b"/healthz" in asked:
                request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                return
            self.count += asked.startswith(b"POST")

    broken = Broken(nginx.root / "run/shop/a/web.sock", "v1")
    apps("shop", "b", "v2")
    port = behind()
    assert {release(ask(port)) for _ in range(10)} == {"v2"}
    posts = [ask(port, method="POST", body=b"x")[0] for _ in range(10)]
    assert broken.count == posts.count(503) > 0 and posts.count(200) == 10 - broken.count
    broken.stop()
