"""What visitors, browsers and proxies get of the image under production's settings: behaviour, not written settings."""

import gzip
import re

import pytest

from proc import wait_until

from .web import HOST, Visitor, entries, static_names, visitor

PRODUCTION = {"SITE_URL": f"https://{HOST}", "ADMIN_PATH": "staff/door", "METRICS_TOKEN": "a-token-of-the-tests",
              "DJANGO_SETTINGS_MODULE": "shop.settings"}


@pytest.fixture(scope="module")
def web(run_for_all, data, shop):
    """The site for all tests that only look."""
    return run_for_all(options=[*data, *shop], env=PRODUCTION)


@pytest.fixture
def guest(web):
    return visitor(web)


def test_static_files(guest):
    """Each file that a page names has a hash in its name, may be kept for ever, and is compressed where that helps;
    under its plain name there is nothing."""
    names, packed = static_names(guest.ask("/").text), set()
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
    """Every page, errors too, tells the browser what it may load, that it insists on https, and what to keep secret."""
    headers = guest.ask(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'self'" and policy["frame-ancestors"] == policy["object-src"] == "'none'"
    assert policy["base-uri"] == policy["form-action"] == "'self'" and "unsafe" not in str(policy)
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    assert headers["Referrer-Policy"] == headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
    assert "camera=()" in headers["Permissions-Policy"] and "geolocation=()" in headers["Permissions-Policy"]
    assert re.fullmatch(r"[0-9a-f]{32}", headers["X-Request-ID"])


def test_https(web, guest):
    """What came without https is sent there, to the same page; probes are answered without."""
    plain = Visitor(guest.port, proto="http")
    for header in ("http", None):
        answer = plain.ask("/slow?n=1", X_Forwarded_Proto=header)
        assert (answer.status, answer.headers["Location"]) == (301, f"https://{HOST}/slow?n=1")
    assert guest.ask("/").status == 200
    assert plain.ask("/healthz").status == plain.ask("/readyz").status == 200


def test_error_page(web, guest):
    """A page that breaks shows an error page with the request's id and nothing of the inside; the log has it all."""
    answer = guest.ask("/broken", X_Request_ID="visitor-4711")
    assert answer.status == 500 and "Something broke on our side" in answer.text and "visitor-4711" in answer.text
    assert "on purpose" not in answer.text and "Traceback" not in answer.text
    found = [entry for entry in entries(web) if entry.get("request_id") == "visitor-4711" and "exception" in entry]
    assert len(found) == 1 and "broken on purpose" in found[0]["exception"] and found[0]["level"] == "ERROR"
    missing = guest.ask("/no/such/page")
    assert missing.status == 404 and "There is no such page" in missing.text


def test_log(web, guest):
    """A request leaves one line: a JSON object with its id, the status and the time it took, without the query."""
    answer = guest.ask("/?card=planted-number", User_Agent="a \"visitor\"\n".strip())
    wait_until(lambda: answer.headers["X-Request-ID"] in web.logs())
    [entry] = [entry for entry in entries(web) if entry["request_id"] == answer.headers["X-Request-ID"]]
    assert (entry["method"], entry["path"], entry["status"], entry["level"]) == ("GET", "/", 200, "INFO")
    assert entry["ms"] > 0 and entry["user_agent"] == 'a "visitor"' and entry["release"] == "release-1"
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", entry["time"])
    assert "planted-number" not in web.logs()
