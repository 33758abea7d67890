"""/metrics and /debug/vars show themselves to this machine and to who has the token; no header opens them."""

import pytest
from ops.served import serve

CLOSED = ("/metrics", "/debug/vars")
TOKEN = {"Authorization": "Bearer s3cret-token"}
LOCAL = ("127.0.0.1", "::1", "localhost", "unix:", "")
FORWARDING = (
    "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server",
    "X-Forwarded-Ssl", "X-Forwarded-Client-Cert", "X-Forwarded", "Forwarded-For", "Forwarded", "X-Real-IP", "Via",
    "X-Client-IP", "Client-IP", "True-Client-IP", "CF-Connecting-IP", "CF-Ray", "Fastly-Client-IP",
    "X-Cluster-Client-IP", "X-Azure-ClientIP", "X-Original-Forwarded-For", "X-Original-Host", "X-Original-URL",
    "X-Envoy-External-Address", "CDN-Loop", "X-ProxyUser-Ip", "X-Remote-IP", "X-Remote-Addr", "X-Originating-IP",
    "X-Scheme", "X-Host")
PRETENDING = (
    "Remote-Addr", "Remote-Host", "Remote-User", "Server-Name", "Server-Port", "Origin", "Referer", "Cookie",
    "X-Rewrite-URL", "Script-Name", "Path-Info", "SCRIPT_NAME", "PATH_INFO", "REMOTE_ADDR", "gunicorn.socket",
    "Gunicorn-Socket", "gunicorn_socket", "X-HTTP-Method-Override", "Proxy-Authorization", "X-Request-ID",
    "Metrics-Token", "X-Metrics-Token", "Token", "X-Auth-Token")
NO_TOKEN = ("", "Bearer", "Bearer ", "Bearer  ", "Bearer s3cret", "Bearer s3cret-token ,", "Bearer S3CRET-TOKEN",
            "Basic s3cret-token", "s3cret-token", "Bearer None", "Bearer \xfc")


@pytest.fixture(scope="module")
def site(sqlite_url, tmp_path_factory):
    """Without DEBUG, as production is; it answers to any name."""
    settings = "DEBUG = False\nALLOWED_HOSTS = ['*']\n"
    with serve(tmp_path_factory.mktemp("a site"), settings, DATABASE_URL=sqlite_url, METRICS_TOKEN="s3cret-token") as s:
        yield s


def refused(site, path, headers, unix=False, method="GET"):
    answer = site.get(path, headers, unix=unix, method=method)
    assert answer.status in (400, 404), (path, headers)
    assert b"http_requests" not in answer.body and b"memstats" not in answer.body
    return True


@pytest.mark.parametrize("path", CLOSED)
def test_from_the_network_no_header_opens_it(site, path):
    """Over TCP: each header that a visitor can forge, with each word for "from here", under local and other names."""
    for name in ("Host", *FORWARDING, *PRETENDING):
        for value in LOCAL:
            refused(site, path, {name: value})
    refused(site, path, {"Host": "localhost", "X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"})
    for value in NO_TOKEN:
        refused(site, path, {"Authorization": value})
    for method in ("HEAD", "POST", "OPTIONS", "PUT"):
        refused(site, path, {}, method=method)


def test_from_the_network_no_spelling_opens_it(site):
    """Over TCP: paths that some servers take for these."""
    for path in CLOSED:
        for spelling in (path + "/", "/" + path, path + "?x=1", "/." + path, "/x/.." + path, path + "%20", path + ";x",
                         path.replace("e", "%65"), path.upper(), f"http://localhost{path}", path + "#"):
            refused(site, spelling, {})
        refused(site, "/x" + path, {"SCRIPT_NAME": "/x", "Host": "localhost"})


@pytest.mark.parametrize("path", CLOSED)
def test_over_the_socket_what_a_proxy_passes_on_is_refused(site, path):
    """Over the unix socket: a plain request is answered, one with any header of a proxy's is not, even an empty one."""
    assert site.get(path, unix=True).status == 200
    for name in FORWARDING:
        for value in LOCAL:
            refused(site, path, {name: value}, unix=True)
            refused(site, path, {name.lower(): value, "Host": "localhost"}, unix=True)


@pytest.mark.parametrize("path", CLOSED)
def test_the_token_opens_it(site, path):
    """With the token: over TCP and over the socket, through a proxy too; never kept."""
    for unix in (False, True):
        for more in ({}, {"X-Forwarded-For": "192.0.2.1", "Host": "shop.example"}):
            answer = site.get(path, {**TOKEN, **more}, unix=unix)
            assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
            assert site.get(path, {**TOKEN, **more}, unix=unix, method="POST").status == 405


def test_without_a_token_none_is_right(sqlite_url, site_folder):
    """No token set: an empty one opens nothing. In development: open to this machine under its own names, and to no
    page of another site that points its name here, and through no proxy."""
    with serve(site_folder, "ALLOWED_HOSTS = ['*']\n", DATABASE_URL=sqlite_url, METRICS_TOKEN="") as site:
        for path in CLOSED:
            for host in ("localhost", "localhost:8000", "127.0.0.1", "[::1]:80", "shop.localhost"):
                assert site.get(path, {"Host": host}).status == 200, host
                refused(site, path, {"Host": host, "X-Forwarded-For": "127.0.0.1"})
            for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evillocalhost", "", "_"):
                refused(site, path, {"Host": host})
                for value in NO_TOKEN:
                    refused(site, path, {"Host": host, "Authorization": value})
