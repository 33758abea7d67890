"""Tests of nginx as it is shipped: which app answers which name, and whom the app believes."""

import ssl
import urllib.request

import pytest

from proc import free_port, put
from slipway.deploy.agent import certificates, http, site_check
from slipway.deploy.agent.host import Host

from .answers import NOT_DEFAULT, A, B, echoed
from .conftest import NAMELESS, ask

HOSTS = [  # the visitor's request target and Host header → the Host that the app gets
    ("/", "shop.example", "shop.example"),
    ("/", "[::1]:8443", "[::1]:8443"),
    ("/", "shop.example:8443@evil.example", "shop.example"),
    ("http://shop.example/", "evil.example:8443", "shop.example"),
    ("http://shop.example:8443/", "evil.example", "shop.example"),
    ("http://shop.example/", "shop.example:8443", "shop.example:8443"),
]


@pytest.mark.parametrize("asked, host, seen", HOSTS)
def test_the_app_gets_the_name_that_chose_its_server(nginx, apps, asked, host, seen):
    """nginx prefers the name in an absolute URL, so the app must get that one. A port counts only with its own name."""
    port = nginx.site("shop")
    apps("shop", "a", "v1")
    front = nginx.balancer("shop", [port])
    with nginx.serving(port, front):
        for address in (port, front):
            status, _, body = ask(address, asked, Host=host)
            assert (echoed(body)["host"] if status == 200 else str(status)) == seen


def test_https(nginx, apps, certificate):
    """http redirects, except for certbot; https reaches the app as https; the private socket does not redirect. The
    agent tells when the certificate ends."""
    tls = free_port()
    port = nginx.site("shop", tls=True, HTTPS_PORT=f"127.0.0.1:{tls}", **certificate)
    apps("shop", "a", "v1")
    put(nginx.root / "var/www/acme/.well-known/acme-challenge/token", "for certbot")
    with nginx.serving(port, tls):
        status, headers, _ = ask(port, "/a?b=c", Host="shop.example")
        assert (status, headers["Location"]) == (308, "https://shop.example/a?b=c")
        assert headers["Server"] == ask(nginx.root / "run/shop/nginx.sock", "/metrics")[1]["Server"] == "nginx"
        assert ask(port, "/.well-known/acme-challenge/token")[2] == "for certbot"
        trusted = ssl.create_default_context(cafile=certificate["CERTIFICATE"])
        served = certificates.expiries(Host("shop", str(nginx.root)))
        assert abs(served["ends"]["localhost"] - served["now"] - 2 * certificates.DAY) < 900, "two days, as it was made"
        with urllib.request.urlopen(f"https://localhost:{tls}/", timeout=30, context=trusted) as response:
            assert echoed(response.read())["x-forwarded-proto"] == "https"
        assert ask(nginx.root / "run/shop/nginx.sock")[0] == 200


TWO_APPS = [  # the sites of two apps, in the files' order; whose page each name shows; what the agent tells
    (NAMELESS, B, {"a.example": "a", "b.example": "b", "else.example": "a"}, {}),
    (A, NAMELESS, {"a.example": "a", "b.example": "b", "else.example": "b"}, {}),
    (A, B, {"a.example": "a", "B.example:443": "b", "else.example": 421, "127.0.0.1": 421}, {}),
    (B, B, {"b.example": "a"}, {"b": "b.example get release a"}),
    (A, NOT_DEFAULT, {"localhost": 421}, {"b": "localhost get 421"}),
]


@pytest.mark.parametrize("item, two, pages, message", TWO_APPS)
@pytest.mark.parametrize("tls", [False, True])
def test_no_app_answers_another_apps_visitors(nginx, apps, certificate, tls, item, two, pages, message):
    """On one port, a name shows its own app. Any other name shows the app without names; if each app has names, such
    visitors get 421, and machines their answers. The agent tells if another app answers by its app's name."""
    ports = free_port(), free_port()
    for app, values in (("a", item), ("b", two)):
        nginx.site(
            app, tls, HTTP_PORT=f"127.0.0.1:{ports[0]}", HTTPS_PORT=f"127.0.0.1:{ports[1]}", **certificate, **values
        )

    def answer(name, path="/"):
        status, body = http.ask(("127.0.0.1", ports[tls]), path, ("http", name), 30, tls)
        return http.release_of(body) or status

    with nginx.serving(ports[0], *ports[1:] * tls):
        assert answer("else.example", "/readyz") == 503, "no release is up"
        for app in "ab":
            apps(app, "a", app)
        assert {name: answer(name) for name in pages} == pages
        assert answer("else.example", "/readyz") == ("b" if two is NAMELESS else "a")
        told = {app: site_check.strangers(Host(app, str(nginx.root))) for app in "ab"}
    assert {app: text.split(",")[0] for app, texts in told.items() for text in texts} == {
        app: f"visitors of {text}" for app, text in message.items()
    }
