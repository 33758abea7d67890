"""Tests of the image under production's settings as visitors and browsers see it."""

import contextlib
import gzip
import re
from collections import namedtuple

import pytest

from connect import connection_to
from proc import wait_until

from .conftest import containers

HOST = "shop.example"
PRODUCTION = {"SITE_URL": f"https://{HOST}", "ADMIN_PATH": "staff/door", "DJANGO_SETTINGS_MODULE": "shop.settings"}


Answer = namedtuple("Answer", "status headers body")


class Visitor:
    """A visitor at a loopback port, whose request came through a proxy that speaks https, as production expects."""

    def __init__(self, port):
        self.port = port

    def ask(self, path="/", **headers):
        """Get a path. Return an Answer, whatever the status. Headers: X_Name="value"."""
        given = {
            "Host": HOST,
            "X-Forwarded-Proto": "https",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        with contextlib.closing(connection_to(self.port)) as connection:
            connection.request("GET", path, headers=given)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())


@pytest.fixture(scope="module")
def web(image, settings, data, shop):
    """Yield a site that is shared by all tests that only read."""
    with containers(image, settings) as start:
        yield start(options=[*data, *shop], env=PRODUCTION)


@pytest.fixture
def guest(web):
    """Return a visitor of the site, once it answers."""

    def alive():
        assert web.state()["Running"], web.logs()
        return guest.ask("/healthz").status == 200

    guest = Visitor(web.port())
    wait_until(alive, 60, "the site answers")
    return guest


def test_static_files(guest):
    """Each file that a page names has a hash in its name, may be cached for ever, and is compressed if that helps. Its
    plain name is not found."""
    names, packed = {*re.findall(r'(?:src|href)="/static/([^"]+)"', guest.ask("/").body.decode())}, set()
    assert len(names) >= 3
    for name in names:
        found = re.fullmatch(r"(.*)\.([0-9a-f]{12})(\.\w+)", name)
        assert found, name
        plain, other = guest.ask(f"/static/{name}"), guest.ask(f"/static/{name}", Accept_Encoding="gzip")
        packed.add(other.headers["Content-Encoding"])
        for answer in (plain, other):
            assert answer.status == 200 and answer.headers["Cache-Control"] == "max-age=315360000, public, immutable"
        if other.headers["Content-Encoding"] == "gzip":
            assert gzip.decompress(other.body) == plain.body and "Accept-Encoding" in other.headers["Vary"]
        assert guest.ask(f"/static/{found[1]}{found[3]}").status == 404
    assert "gzip" in packed


@pytest.mark.parametrize("path", ["/", "/no/such/page", "/broken", "/staff/door/login/"])
def test_headers(guest, path):
    """Every page, also an error, limits what browsers load, requires https, and keeps addresses and cookies private."""
    headers = guest.ask(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'self'" and policy["frame-ancestors"] == policy["object-src"] == "'none'"
    assert policy["base-uri"] == policy["form-action"] == "'self'" and "unsafe" not in str(policy)
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    assert headers["Referrer-Policy"] == headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
    assert "camera=()" in headers["Permissions-Policy"] and "geolocation=()" in headers["Permissions-Policy"]
    assert re.fullmatch(r"[0-9a-f]{32}", headers["X-Request-ID"])
