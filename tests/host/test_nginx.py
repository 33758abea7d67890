"""The shipped configuration in Debian's nginx, on free ports, before real unix sockets."""

import json
import os
import re
import socket
from urllib.parse import unquote

import pytest
from gunicorn.util import split_request_uri

from proc import free_port, put, run, wait_until
from slipway.deploy.agent import errors, site_check, traffic
from slipway.deploy.agent.host import Host
from slipway.deploy.agent.visitors import Visitors
from slipway.deploy.server import site

from .answers import FORGED, A, echoed, release
from .conftest import ask


@pytest.fixture
def shop(nginx, apps):
    """The port of a site, served by nginx, whose release is v1."""
    port = nginx.site("shop")
    apps("shop", "a", "v1")
    with nginx.serving(port):
        yield port


def test_the_page_of_a_site_without_a_release(nginx, apps):
    """Without a release GET and POST get 503, Retry-After and an uncached page; once a release listens, it serves."""
    port = nginx.site("shop")
    with nginx.serving(port):
        for method in ("GET", "POST"):
            status, headers, body = ask(port, "/cart", method=method)
            assert (status, headers["Retry-After"], headers["Cache-Control"]) == (503, "10", "no-store")
            assert "Back in a moment" in body and headers["Content-Type"] == "text/html"
            assert headers["X-Request-ID"] and headers["X-Content-Type-Options"] == "nosniff"
        assert "Back in" in ask(port, "/static/app.css")[2]
        apps("shop", "a", "v1")
        assert release(ask(port)) == "v1"
        assert ask(port, "/.maintenance.html")[0] == 404, "not a page one can ask for"
        for status in ("500", "503"):
            answer = ask(port, X_Status=status)
            assert answer[0] == int(status) and release(answer) == "v1", "the app's own errors are left alone"


@pytest.mark.parametrize("front", [False, True], ids=["web host", "balancer"])
def test_maintenance(nginx, apps, front):
    """While the file exists, visitors get the page, without a reload; machines, certbot and the deployer do not."""
    port = nginx.site("shop")
    apps("shop", "a", "v1")
    site, port = ("shop-balancer", nginx.balancer("shop", [port])) if front else ("shop", port)
    put(nginx.root / "var/www/acme/.well-known/acme-challenge/token", "for certbot")
    with nginx.serving(port):
        file = put(nginx.root / f"etc/nginx/{site}/maintenance")
        for path in ("/", "/static/app.css", "/media/x", "/x:/healthz", "/healthz/x", "//private:"):
            for method in ("GET", "POST"):
                status, headers, body = ask(port, path, method=method)
                assert (status, headers["Retry-After"]) == (503, "10") and "Back in a moment" in body, path
        assert ask(port, "/.maintenance.html")[0] == 404
        for path, token in (("/healthz?x", ""), ("/readyz", ""), ("/metrics", "Bearer x"), ("/debug/vars", "Bearer x")):
            assert release(ask(port, path, Authorization=token)) == "v1", path
        assert ask(port, "/.well-known/acme-challenge/token")[2] == "for certbot"
        assert front or release(ask(nginx.root / "run/shop/nginx.sock")) == "v1", "a deploy's smoke test"
        file.unlink()
        assert release(ask(port)) == "v1"


def test_the_journal_has_what_fails(nginx, apps):
    """nginx's errors, and the app's 5xx, of web hosts and balancers; `slipway errors` sees its 502. Visitors cannot
    fill it: it has no rejected sign-ins, and nothing of maintenance."""
    port = nginx.site("my-shop")
    front = nginx.balancer("my-shop", [port])
    apps("my-shop", "a", "v1")
    put(nginx.root / "run/systemd/journal/x", "")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal, nginx.serving(port, front):
        journal.bind(str(nginx.root / "run/systemd/journal/dev-log"))
        journal.settimeout(30)
        assert 429 in signing_in(port, "192.0.2.1", 40)
        (closed := nginx.root / "etc/nginx/my-shop/maintenance").touch()
        assert ask(port)[0] == 503
        closed.unlink()
        for path in ("/readyz", "/readyz?x", "/healthz"):  # as a balancer asks, whose host has no release yet
            assert ask(port, path, X_Status="500")[0] == ask(front, path, X_Status="500")[0] == 500
        for path in ("/", "/crash?secret"):
            ask(front, path)
        said = [re.fullmatch(r"<187>.{15} my_shop_nginx: (.*)", journal.recv(9999).decode())[1] for _ in range(3)]
    assert "prematurely closed" in said[0] and [json.loads(line)["status"] for line in said[1:]] == [503, 503]
    assert [found["message"] for line in said for found in errors.errors_in_line(0, "nginx", line)] == [
        "502 Bad Gateway"
    ]


def test_operators_pages_are_not_public(nginx, shop):
    """/metrics and /debug/vars answer 404 to requests without a token, in any spelling, over the port and the private
    socket. nginx passes a token on to the app, which judges it, and sets X-Forwarded-For."""
    for path in ("/metrics", "/metrics/x", "//metrics", "/%6detrics", "/x/../debug/vars", "/debug//vars?a=b"):
        assert ask(shop, path)[0] == ask(nginx.root / "run/shop/nginx.sock", path)[0] == 404, path
        assert ask(shop, path, Authorization="Basic YTpi")[0] == ask(shop, path, Authorization="Bearer")[0] == 404
        seen = echoed(ask(shop, path, **FORGED, Authorization="Bearer any")[2])
        assert (seen["authorization"], seen["x-forwarded-for"]) == ("Bearer any", "127.0.0.1")
    assert ask(shop, "/metricsandmore")[0] == 200


def signing_in(port, address, times, path="/admin/login/", **extra):
    """Return the statuses of `times` sign-ins, one after the other."""
    return [ask(port, path, method="POST", X_Forwarded_For=address, **extra)[0] for _ in range(times)]


def test_who_guesses_passwords_is_slowed_down(nginx, apps):
    """From one address, or one IPv6 network, only some POSTs to login pages reach the app at once; the rest get 429.
    Other addresses, other pages, and GETs of a login page have no limit."""
    port = nginx.site("shop", balancers=["127.0.0.1"])
    apps("shop", "a", "v1")
    with nginx.serving(port):
        for address, path in (
            ("192.0.2.1", "/admin/login/"),
            ("192.0.2.2", "/accounts/Sign-In"),
            ("::ffff:192.0.2.4", "//admin/%6cogin/"),
            ("2001:db8:0:7::{}", "/admin/login/"),
        ):
            statuses = [signing_in(port, address.format(number), 1, path)[0] for number in range(1, 41)]
            assert statuses[:11] == [200] * 11 and statuses.count(429) >= 25, statuses
        for address in ("192.0.2.3", "2001:db8:0:8::1", "::ffff:192.0.2.5"):
            assert signing_in(port, address, 5) == [200] * 5
        for path in ("/blog/in/", "/admin/login/help/"):
            assert signing_in(port, "192.0.2.1", 5, path) == [200] * 5
        assert {ask(port, "/admin/login/", X_Forwarded_For="192.0.2.1")[0] for _ in range(20)} == {200}


def test_nobody_forges_where_a_request_comes_from(shop):
    """The app gets none of a visitor's forwarding headers: address, scheme and request id are nginx's own."""
    seen = echoed(ask(shop, **FORGED)[2])
    assert seen["x-forwarded-for"] == "127.0.0.1" and seen["x-forwarded-proto"] == "http"
    assert re.fullmatch("[0-9a-f]{32}", seen["x-request-id"])
    assert seen["host"] == f"127.0.0.1:{shop}"
    own = {"x-forwarded-for", "x-forwarded-proto", "x-request-id"}
    assert not {name.lower().replace("_", "-") for name in FORGED} - own & set(seen)


def test_static_files(nginx, shop):
    """Static files come from disk, precompressed, cached for ever; the app answers for links and missing files."""
    folder = nginx.root / "var/www/shop/static"
    put(folder / "app.0123.css", "plain")
    put(folder / "app.0123.css.gz", "compressed")
    _, headers, body = ask(shop, "/static/app.0123.css")
    assert body == "plain" and headers["Content-Type"] == "text/css"
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    _, headers, body = ask(shop, "/static/app.0123.css", Accept_Encoding="gzip")
    assert (headers["Content-Encoding"], body) == ("gzip", "compressed")
    (folder / "link.css").symlink_to(nginx.root / "nginx.conf")
    (folder / "up").symlink_to(nginx.root)
    assert [release(ask(shop, f"/static/{name}")) for name in ("link.css", "up/nginx.conf")] == ["v1", "v1"]
    answer = ask(shop, "/static/other.css")
    assert release(answer) == "v1" and answer[1]["Cache-Control"] is None


def test_uploads_are_inert(nginx, shop):
    """An upload is served as an image or a download, and never run; the app answers for links and missing files."""
    folder = nginx.root / "var/www/shop/media"
    for name in ("evil.html", "evil.svg", "evil.js", "evil", "photo.PNG", "evil.png.html"):
        put(folder / name, "<script>alert(1)</script>")
    (folder / "link.png").symlink_to(put(nginx.root / "secret", "secret"))
    for name in ("evil.html", "evil.svg", "evil.js", "evil", "evil.png.html"):
        status, headers, _ = ask(shop, f"/media/{name}")
        assert (status, headers["Content-Type"], headers["Content-Disposition"]) == (
            200,
            "application/octet-stream",
            "attachment",
        ), name
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    _, headers, _ = ask(shop, "/media/photo.PNG")
    assert (headers["Content-Type"], headers["Content-Disposition"]) == ("image/png", "inline")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert ask(shop, "/media/../../secret")[0] == 400
    for path in ("/media/link.png", "/media/absent"):
        answer = ask(shop, path)
        assert release(answer) == "v1" and answer[1]["Content-Disposition"] is None, path


def test_limits_and_upgrades(nginx, apps):
    """A body over the limit is refused; websockets pass, also through a balancer; other requests close their connection
    to the app; a team's file in server.d/ adds to every server of the app."""
    port = nginx.site("shop")
    front = nginx.balancer("shop", [port])
    apps("shop", "a", "v1")
    nginx.put("etc/nginx/shop/server.d/robots.conf", 'location = /robots.txt { return 200 "ours"; }')
    with nginx.serving(port):
        assert ask(port, "/robots.txt")[2] == ask(nginx.root / "run/shop/nginx.sock", "/robots.txt")[2] == "ours"
        assert ask(port, method="POST", body=b"x" * 2_200_000)[0] == 413
        assert ask(port, method="POST", body=b"x" * 1_800_000)[0] == 200
        assert echoed(ask(port)[2])["connection"] == "close"
        for where in (port, front):
            assert ask(where, "/upgrade", Upgrade="websocket", Connection="Upgrade")[0] == 101
            seen = echoed(ask(where, Upgrade="websocket", Connection="Upgrade")[2])
            assert (seen["upgrade"], seen["connection"]) == ("websocket", "upgrade")


def test_the_access_log(nginx, shop):
    """Each request is one JSON object, with id, status and seconds, never the query, whatever a visitor sends."""
    ask(shop, "/reset?token=planted", User_Agent='a "quoted" \\ agent')
    log = nginx.root / "var/log/nginx/shop.access.log"
    (line,) = wait_until(lambda: log.read_text().splitlines())
    entry = json.loads(line)
    assert (entry["path"], entry["status"], entry["method"]) == ("/reset", 200, "GET")
    assert entry["user_agent"] == 'a "quoted" \\ agent' and len(entry["request_id"]) == 32
    assert isinstance(entry["seconds"], float) and "planted" not in line


MACHINES = ("/readyz", "/healthz?x", "/%72eadyz", "/debug%2Fvars", "/hea%6Cthz?x", "/readyz#x", "http://shop/readyz")
VISITORS = ("/readyz/x", "/x?/readyz", "/READYZ", "//readyz", "/x/../readyz", "/readyz%3Fx", "/%2572eadyz", "/readyz;x")


def test_what_machines_ask_is_no_visitor_s(nginx):
    """It is counted nowhere, in whatever form the app takes it as its probe, also where the page answers it, as no
    release is up: on a web host and its balancer."""
    port = nginx.site("shop")
    front = nginx.balancer("shop", [port])
    with nginx.serving(port, front):
        visitors, place = Visitors(host := Host("shop", str(nginx.root))), traffic.newer(host, None)["place"]
        for path in (*MACHINES, *VISITORS):
            assert ask(front, path, Authorization="Bearer x")[0] == ask(port, path, Authorization="Bearer x")[0] == 503
        logs = [nginx.root / f"var/log/nginx/{name}.access.log" for name in ("shop", "shop-balancer")]
        asked = len(MACHINES + VISITORS)
        wait_until(lambda: logs[0].read_text().count("\n") >= 2 * asked and logs[1].read_text().count("\n") == asked)
    for log, times in zip(logs, (2, 1), strict=True):
        askers = [json.loads(line)["asked_by"] for line in log.read_text().splitlines()]
        assert askers == ["machine"] * times * len(MACHINES) + ["visitor"] * times * len(VISITORS)
    visitors.problem(0)
    assert visitors.now.total == 2 * len(VISITORS)
    place = {"inode": logs[1].stat().st_ino, "offset": 0}
    assert sum(sum(each["statuses"].values()) for each in traffic.newer(host, place)["buckets"]) == len(VISITORS)


@pytest.mark.parametrize("path", [*MACHINES, *VISITORS])
def test_the_app_takes_the_same_for_its_probes(path):
    """By the path that gunicorn and Django decode."""
    decoded = unquote(split_request_uri(path).path)
    assert (decoded in [f"/{probe}" for probe in site.PROBES]) == (path in MACHINES), decoded


def test_what_visitors_get_instead(nginx):
    """The agent tells of a name that nginx has not read, and once, after one wait, of an nginx that is not there."""
    port = nginx.site("a", **A)
    public = nginx.root / "etc/nginx/a/public.conf"
    with nginx.serving(port):
        assert site_check.strangers(Host("a", str(nginx.root))) == []
        public.write_text(public.read_text().replace("a.example", "new.example a.example more.example"))
        told = [text.split(",")[0] for text in site_check.strangers(Host("a", str(nginx.root)))]
        assert told == [f"visitors of {name} get 421" for name in ("new.example", "more.example")]
    [told] = site_check.strangers(Host("a", str(nginx.root)))
    assert told.startswith("nginx answers visitors of new.example with nothing: Connection refused")


def test_what_is_shipped_is_clean(nginx, certificate):
    """`nginx -t` has no warning about the shipped files of two apps, one with a dash in its name, and of a balancer of
    200 hosts, except for the spelling of http2, which newer versions deprecate."""
    nginx.site("shop", balancers=["10.0.0.1", "10.0.1.0/24", "2001:db8::1"])
    nginx.site("my-blog", tls=True, HTTPS_PORT=f"127.0.0.1:{free_port()}", **certificate, **A)
    nginx.balancer("shop", range(1, 201), ["10.0.0.1", "2001:db8::/32"])
    checked = run(nginx.command("-t"))
    said = [
        line
        for line in checked.stderr.splitlines()
        if "[" in line
        and '"listen ... http2" directive is deprecated' not in line
        and not (os.geteuid() and "could not open error log file" in line)
    ]
    assert checked.returncode == 0 and not said, checked.stderr
