"""The shipped configuration in Debian's nginx, on free ports, before real unix sockets."""

import contextlib
import json
import os
import re
import socket
import socketserver
import ssl
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from connect import served
from proc import free_port, put, run, wait_until
from slipway.deploy.agent import certificates, errors, http, site_check
from slipway.deploy.agent.host import Host

from .conftest import NAMELESS, ask


def echoed(body):
    """Return the headers that the app got, with names in lower case."""
    return {name.lower(): value for name, value in json.loads(body)["headers"]}


def release(answer):
    return json.loads(answer[2])["release"]


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
    """nginx's errors, and the app's 5xx, of web hosts and balancers; `make errors` sees its 502. Visitors cannot fill
    it: it has no rejected sign-ins, and nothing of maintenance."""
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
        for path in ("/", "/crash?secret"):
            ask(front, path)
        said = [re.fullmatch(r"<187>.{15} my_shop_nginx: (.*)", journal.recv(9999).decode())[1] for _ in range(3)]
    assert "prematurely closed" in said[0] and [json.loads(line)["status"] for line in said[1:]] == [503, 503]
    assert [found["message"] for line in said for found in errors.in_line(0, "nginx", line)] == ["502 Bad Gateway"]


def test_operators_pages_are_not_public(nginx, shop):
    """/metrics and /debug/vars answer 404 to requests without a token, in any spelling, over the port and the private
    socket. nginx passes a token on to the app, which judges it, and sets X-Forwarded-For."""
    for path in ("/metrics", "/metrics/x", "//metrics", "/%6detrics", "/x/../debug/vars", "/debug//vars?a=b"):
        assert ask(shop, path)[0] == ask(nginx.root / "run/shop/nginx.sock", path)[0] == 404, path
        assert ask(shop, path, Authorization="Basic YTpi")[0] == ask(shop, path, Authorization="Bearer")[0] == 404
        seen = echoed(ask(shop, path, **FORGED, Authorization="Bearer any")[2])
        assert (seen["authorization"], seen["x-forwarded-for"]) == ("Bearer any", "127.0.0.1")
    assert ask(shop, "/metricsandmore")[0] == 200


def signing_in(port, address, times, path="/admin/login/", **more):
    """Return the statuses of `times` sign-ins, one after the other."""
    return [ask(port, path, method="POST", X_Forwarded_For=address, **more)[0] for _ in range(times)]


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


FORGED = {
    "X_Forwarded_For": "6.6.6.6",
    "X_Forwarded_Proto": "https",
    "X_Request_ID": "forged-request-id",
    "X_Forwarded_Host": "evil.example",
    "X_Forwarded_Port": "1",
    "Forwarded": "for=6.6.6.6",
    "X_Real_IP": "6.6.6.6",
    "X_Forwarded_Prefix": "/x",
    "X_Forwarded_Protocol": "https",
    "X_Forwarded_Ssl": "on",
    "Proxy": "http://evil",
    "X_Forwarded_Scheme": "https",
    "X_Forwarded_Server": "evil",
}


def test_nobody_forges_where_a_request_comes_from(shop):
    """The app gets none of a visitor's forwarding headers: address, scheme and request id are nginx's own."""
    seen = echoed(ask(shop, **FORGED)[2])
    assert seen["x-forwarded-for"] == "127.0.0.1" and seen["x-forwarded-proto"] == "http"
    assert re.fullmatch("[0-9a-f]{32}", seen["x-request-id"])
    assert seen["host"] == f"127.0.0.1:{shop}"
    own = {"x-forwarded-for", "x-forwarded-proto", "x-request-id"}
    assert not {name.lower().replace("_", "-") for name in FORGED} - own & set(seen)


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


def test_a_balancer_is_believed(nginx, apps):
    """Only the balancer is trusted about a visitor's address (its last entry), scheme and request id. Over the private
    socket the app sees a visitor with the site's own scheme, so that it does not redirect."""
    port = nginx.site("shop", balancers=["127.0.0.1"])
    apps("shop", "a", "v1")
    with nginx.serving(port):
        private = ask(nginx.root / "run/shop/nginx.sock", Host="shop.example", X_Request_ID="deploy-4711")[2]
        seen = echoed(ask(port, **{**FORGED, "X_Forwarded_For": "6.6.6.6, 203.0.113.9"})[2])
        odd = echoed(ask(port, X_Request_ID='no"id', X_Forwarded_Proto="gopher")[2])
    assert seen["x-forwarded-for"] == "203.0.113.9" and seen["x-forwarded-proto"] == "https"
    assert seen["x-request-id"] == "forged-request-id" and "x-forwarded-host" not in seen
    assert odd["x-request-id"] != 'no"id' and odd["x-forwarded-proto"] == "http"
    names = ("x-forwarded-proto", "x-forwarded-for", "host", "x-request-id")
    assert [echoed(private)[name] for name in names] == ["https", "127.0.0.1", "shop.example", "deploy-4711"]


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
        served = certificates.served(Host("shop", str(nginx.root)))
        assert abs(served["ends"]["localhost"] - served["now"] - 2 * certificates.DAY) < 900, "two days, as it was made"
        with urllib.request.urlopen(f"https://localhost:{tls}/", timeout=30, context=trusted) as response:
            assert echoed(response.read())["x-forwarded-proto"] == "https"
        assert ask(nginx.root / "run/shop/nginx.sock")[0] == 200


A, B, NOT_DEFAULT = ({"SERVER_NAMES": name, "DEFAULT": ""} for name in ("a.example", "b.example", "_"))
TWO_APPS = [  # the sites of two apps, in the files' order; whose page each name shows; what the agent tells
    (NAMELESS, B, {"a.example": "a", "b.example": "b", "else.example": "a"}, {}),
    (A, NAMELESS, {"a.example": "a", "b.example": "b", "else.example": "b"}, {}),
    (A, B, {"a.example": "a", "B.example:443": "b", "else.example": 421, "127.0.0.1": 421}, {}),
    (B, B, {"b.example": "a"}, {"b": "b.example get release a"}),
    (A, NOT_DEFAULT, {"localhost": 421}, {"b": "localhost get 421"}),
]


@pytest.mark.parametrize("one, two, pages, said", TWO_APPS)
@pytest.mark.parametrize("tls", [False, True])
def test_no_app_answers_another_apps_visitors(nginx, apps, certificate, tls, one, two, pages, said):
    """On one port, a name shows its own app. Any other name shows the app without names; if each app has names, such
    visitors get 421, and machines their answers. The agent tells if another app answers by its app's name."""
    ports = free_port(), free_port()
    for app, values in (("a", one), ("b", two)):
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
        app: f"visitors of {text}" for app, text in said.items()
    }


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


@pytest.fixture
def two_hosts(nginx, apps):
    """The port of a balancer before two hosts with complete sites, and one address where nothing listens."""
    ports = [nginx.site(app, balancers=["127.0.0.1"]) for app in ("one", "two")]
    port = nginx.balancer("shop", [*ports, free_port()])
    with nginx.serving(port):
        yield port


def test_a_balancer_passes_over_what_is_dead(apps, two_hosts):
    """No visitor notices a host that refuses connections; no GET notices a host without a release."""
    apps("one", "a", "from one")
    second = apps("two", "a", "from two")
    answers = [
        ask(two_hosts, method=method, body=body) for _ in range(15) for method, body in (("GET", None), ("POST", b"x"))
    ]
    assert {(answer[0], release(answer)) for answer in answers} == {(200, "from one"), (200, "from two")}
    second.stop()
    answers = [ask(two_hosts) for _ in range(20)]
    assert {(answer[0], release(answer)) for answer in answers} == {(200, "from one")}


def test_a_balancer_never_repeats_a_post(nginx):
    """If a host breaks off, a GET is sent to another one; a POST is not, because it may have taken effect."""
    seen = []

    class Breaking(socketserver.BaseRequestHandler):
        def handle(self):
            seen.append(self.request.recv(10000).split(b" ")[0])

    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(served(socketserver.TCPServer(("127.0.0.1", 0), Breaking))) for _ in range(2)]
        port = nginx.balancer("shop", [host.server_address[1] for host in hosts])
        with nginx.serving(port):
            assert ask(port, method="POST", body=b"x")[0] == 503
            assert seen == [b"POST"]
            status, headers, body = ask(port)
            assert (status, headers["Retry-After"]) == (503, "10") and "Back in a moment" in body, "the balancer's page"
            assert seen[:3] == [b"POST", b"GET", b"GET"] and {*seen[3:]} <= {b"GET"}


@pytest.mark.parametrize(
    "method, statuses", [("GET", {200}), ("HEAD", {200}), ("POST", {200, 503}), ("DELETE", {200, 503})]
)
def test_a_request_whose_app_dies(apps, two_hosts, method, statuses):
    """If an app breaks off before it has answered, another host is asked a GET or HEAD; others get the page."""
    apps("one", "a", "from one"), apps("two", "a", "from two")
    answers = [ask(two_hosts, method=method, X_Crash="from one") for _ in range(12)]
    assert {answer[0] for answer in answers} == statuses
    assert all("Back in a moment" in answer[2] for answer in answers if answer[0] == 503)


def test_no_host_that_serves_is_passed_over(apps, two_hosts):
    """A host that has just come back gets the visitors at once if the other one dies. While the app is down on all
    hosts, visitors get the page; what the app answers itself reaches them as it is."""
    for name in ("one", "two") * 3:
        app = apps(name, "a", f"from {name}")
        assert [ask(two_hosts)[0] for _ in range(8)] == [200] * 8, f"{name} serves"
        assert {ask(two_hosts, X_Status=status)[0] for status in ("502", "503", "504")} == {502, 503, 504}
        app.stop()
        for method in ("GET", "POST"):
            status, headers, body = ask(two_hosts, method=method)
            assert (status, headers["Retry-After"]) == (503, "10") and "Back in a moment" in body


def test_what_does_not_answer_costs_few(nginx, apps):
    """Of 40 visitors at most three wait for a host that is powered off, a second each. One that is frozen keeps who it
    has got; others are answered."""
    with socket.socket() as off, socket.socket() as frozen, contextlib.ExitStack() as stack:
        for listening, backlog in ((off, 0), (frozen, 100)):
            listening.bind(("127.0.0.1", 0))
            listening.listen(backlog)
        for _ in range(3):  # where the backlog is full, nobody refuses a connection, as where there is no power
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(off.getsockname())
        port = nginx.balancer(
            "shop", [nginx.site("one", balancers=["127.0.0.1"]), *(each.getsockname()[1] for each in (off, frozen))]
        )
        apps("one", "a", "from one")
        with ThreadPoolExecutor(40) as pool, nginx.serving(port):  # nginx ends first, and with it what hangs
            taken, hanging = [], 0
            for _ in range(40):
                began = time.monotonic()
                answered, waiting = wait([pool.submit(ask, port)], 5)
                hanging += len(waiting)
                taken += [time.monotonic() - began for future in answered if future.result()[0] == 200]
    assert hanging <= 1 and len(taken) + hanging == 40 and len([one for one in taken if one > 0.9]) <= 3, taken


def test_a_request_that_breaks_the_app_takes_no_host_out(apps, two_hosts):
    """A page that crashes its worker is the app's failure: every host stays in, however often the page is requested."""
    apps("one", "a", "from one"), apps("two", "a", "from two")
    assert {ask(two_hosts, "/crash")[0] for _ in range(12)} == {503}
    assert {release(ask(two_hosts)) for _ in range(12)} == {"from one", "from two"}


@pytest.mark.parametrize(
    "proxies, address, scheme", [(["127.0.0.1"], "203.0.113.9", "https"), (["192.0.2.0/24"], "127.0.0.1", "http")]
)
def test_a_proxy_before_the_balancer(nginx, apps, proxies, address, scheme):
    """If TLS ends at a proxy before the balancer, the app gets scheme, address and request id from that proxy,
    through balancer and host; nobody else is trusted about them."""
    port = nginx.balancer("shop", [nginx.site("one", balancers=["127.0.0.1"])], proxies)
    apps("one", "a", "from one")
    with nginx.serving(port):
        seen = echoed(ask(port, **{**FORGED, "X_Forwarded_For": "6.6.6.6, 203.0.113.9"})[2])
        plain = echoed(ask(port, **{**FORGED, "X_Forwarded_Proto": "http"})[2])
    assert (seen["x-forwarded-for"], seen["x-forwarded-proto"]) == (address, scheme)
    assert plain["x-forwarded-proto"] == "http"
    assert (seen["x-request-id"] == FORGED["X_Request_ID"]) == (scheme == "https")


def test_a_slow_host_gets_few(apps, two_hosts):
    """While one host keeps a visitor waiting, others get the other host."""
    hosts = apps("one", "a", "from one"), apps("two", "a", "from two")
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(ask, two_hosts, X_Hang="1")
        slow = wait_until(lambda: [host for host in hosts if host.hanging])[0]
        found = {release(ask(two_hosts)) for _ in range(20)}
        slow.let_go.set()
        assert found == {"from one", "from two"} - {release(waits.result(30))}


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
