"""Tests of /metrics and /debug/vars: open to this machine and to a token's owner; no header opens them."""

import pytest

from ops.served import serve

CLOSED = ("/metrics", "/debug/vars")
TOKEN = {"Authorization": "Bearer s3cret-token"}
LOCAL = ("127.0.0.1", "unix:", "")
FORWARDING = (
    "X-Forwarded-For",
    "X-Forwarded",
    "Forwarded",
    "X-Real-IP",
    "Via",
    "Client-IP",
    "True-Client-IP",
    "CF-Ray",
    "X-Cluster-Client-IP",
    "X-Azure-ClientIP",
    "X-Original-URL",
    "CDN-Loop",
    "X-Remote-Addr",
    "X-Scheme",
    "X-Host",
)
PRETENDING = ("Host", "Remote-Addr", "Server-Name", "Origin", "SCRIPT_NAME", "REMOTE_ADDR", "gunicorn.socket")
NO_TOKEN = ("", "Bearer ", "Bearer s3cret", "Bearer S3CRET-TOKEN", "Basic s3cret-token", "Bearer None", "Bearer \xfc")


@pytest.fixture(scope="module")
def site(sqlite_url, tmp_path_factory):
    """Yield a site without DEBUG, as in production, that accepts any host."""
    settings = "DEBUG = False\nALLOWED_HOSTS = ['*']\n"
    with serve(tmp_path_factory.mktemp("a site"), settings, DATABASE_URL=sqlite_url, METRICS_TOKEN="s3cret-token") as s:
        yield s


def refused(site, path, headers, unix=False, method="GET"):
    answer = site.get(path, headers, unix=unix, method=method)
    assert answer.status in (400, 404), (path, headers, answer.status)
    assert b"http_requests" not in answer.body and b"memstats" not in answer.body


@pytest.mark.parametrize("path", CLOSED)
def test_from_the_network_nothing_opens_it(site, path):
    """No forged header with a local address opens them, and no path that some servers treat as theirs."""
    for name in (*FORWARDING, *PRETENDING):
        for value in LOCAL:
            refused(site, path, {name: value})
    for value in NO_TOKEN:
        refused(site, path, {"Authorization": value})
    for method in ("HEAD", "POST", "OPTIONS"):
        refused(site, path, {}, method=method)
    for spelling in (
        path + "/",
        "/" + path,
        path + "?x=1",
        "/x/.." + path,
        path + "%20",
        path + ";x",
        path.replace("e", "%65"),
        path.upper(),
        f"http://localhost{path}",
    ):
        refused(site, spelling, {})
    refused(site, "/x" + path, {"SCRIPT_NAME": "/x", "Host": "localhost"})


@pytest.mark.parametrize("path", CLOSED)
def test_the_socket_or_the_token_opens_it(site, path):
    """On the unix socket a plain request is answered, but none with a proxy's header, even an empty one. With the token
    all are answered. Answers are not cached."""
    assert site.get(path, unix=True).status == 200
    for name in FORWARDING:
        for value in LOCAL:
            refused(site, path, {name.lower(): value, "Host": "localhost"}, unix=True)
    for unix in (False, True):
        more = {**TOKEN, "X-Forwarded-For": "192.0.2.1", "Host": "shop.example"}
        answer = site.get(path, more, unix=unix)
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
        assert site.get(path, more, unix=unix, method="POST").status == 405


def test_without_a_token_none_is_right(sqlite_url, site_folder):
    """If no token is set, an empty one opens nothing. In development only this machine's own names do."""
    with serve(site_folder, "ALLOWED_HOSTS = ['*']\n", DATABASE_URL=sqlite_url, METRICS_TOKEN="") as site:
        for path in CLOSED:
            for value in NO_TOKEN:
                refused(site, path, {"Host": "shop.example:8000", "Authorization": value})
            refused(site, path, {"Host": "localhost:8000", "Via": ""})
            assert site.get(path, {"Host": "localhost:8000"}).status == 200
