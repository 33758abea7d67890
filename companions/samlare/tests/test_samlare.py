"""samlare between endpoints and Debian's carbon: what whisper-fetch reads is what was shown."""

import ssl
import time
from statistics import median

from aiohttp import web
from conftest import Deep, endpoint
from proc import run, wait_until


def test_values(carbon, shown, samlare, tmp_path):
    """Numbers arrive under their names; over TCP, over a unix socket, with a token."""
    (tmp_path / "token").write_text("abc\n")
    samlare.write(carbon.port, endpoint(shown.url(), "shop.web1", FailureMetric='"shop.failed"'),
                  endpoint("http://web2/debug/vars", "shop.web2", Socket=f'"{shown.socket}"',
                           TokenFile=f'"{tmp_path}/token"'))
    with carbon.up(), samlare.up():
        wait_until(lambda: 3 in carbon.values("shop.web1.tasks").values())
        shown.figures = {"tasks": 4}
        wait_until(lambda: 4 in carbon.values("shop.web2.tasks").values())
        assert set(carbon.values("shop.failed").values()) == {0}
    by_socket = [request for request in shown.asked if request.host == "web2"]
    assert by_socket and {request.headers.get("Authorization") for request in by_socket} == {"Bearer abc"}
    assert all("Authorization" not in request.headers for request in shown.asked if request not in by_socket)


def test_failures(carbon, shown, samlare):
    """An endpoint that hangs, moves, never ends or is not there fails alone: the other keeps its pace."""
    bad = {"hung": shown.url("/hung"), "moved": shown.url("/moved"), "endless": shown.url("/endless"),
           "none": "http://127.0.0.1:1/", "text": shown.url("/debug/vars/nosuch")}
    samlare.write(carbon.port, endpoint(shown.url(), "shop.web1"),
                  *(endpoint(url, "bad", FailureMetric=f'"failed.{name}"') for name, url in bad.items()),
                  endpoint(shown.url("/hung"), "again"), endpoint(shown.url("/hung"), "and.again"), timeout=900)
    with carbon.up(), samlare.up():
        wait_until(lambda: all(1 in carbon.values(f"failed.{name}").values() for name in bad))
        wait_until(lambda: len(carbon.values("shop.web1.tasks")) >= 6)
        said = samlare.process.output()
    seconds = sorted(carbon.values("shop.web1.tasks"))
    assert median(after - before for before, after in zip(seconds, seconds[1:])) == 1
    for told, times in (("no answer in time", 3), ("answers 302", 1), ("sends more than", 1), ("Cannot connect", 1),
                        ("answers 404", 1)):
        assert said.count(told) == times, said


def test_figures_that_nobody_expects(carbon, shown, samlare):
    """What an endpoint shows ends nothing: a number too large, a name too long, no end of nesting."""
    shown.figures = {"huge": 10 ** 400, "n" * 10_000: [1] * 5000, "tasks": 3}
    samlare.write(carbon.port, endpoint(shown.url(), "shop.web1"), interval=500)
    with carbon.up(), samlare.up():
        wait_until(lambda: carbon.values("shop.web1.tasks"))
        shown.figures = Deep("[" * 100_000 + "]" * 100_000)
        samlare.until(lambda counters: counters["failures"])
        shown.figures = {"tasks": 4}
        wait_until(lambda: 4 in carbon.values("shop.web1.tasks").values())
        assert samlare.process.output().count("shop.web1: ") == 2


def test_too_many_figures(carbon, shown, samlare):
    """Of one look only so many lines are kept, so that the others have room."""
    shown.figures = list(range(30_000))
    samlare.write(carbon.port, endpoint(shown.url(), "shop.web1"), interval=60_000)
    with samlare.up():
        samlare.until(lambda counters: counters["waiting"] == 10_000)


def test_carbon_restarted(carbon, shown, samlare):
    """No second is missing: what the buffer holds while carbon is away arrives, and what carbon had in memory as it was
    killed comes again."""
    samlare.write(carbon.port, endpoint(shown.url(), "shop.web1"), interval=200)
    with samlare.up():
        first = int(time.time())
        for _ in range(2):
            with carbon.up() as process:
                before = samlare.counters()["sent"]
                samlare.until(lambda counters: counters["sent"] > before + 10)
                process.kill()
            asked = len(shown.asked)
            wait_until(lambda: len(shown.asked) > asked + 10)
        last = int(time.time())
        with carbon.up():
            wait_until(lambda: set(range(first + 1, last + 1)) <= set(carbon.values("shop.web1.tasks")))
        counters = samlare.counters()
    assert (counters["connections"], counters["dropped"]) == (3, 0) and last - first > 5


def test_full(carbon, shown, samlare):
    """Beyond the limit the oldest are dropped and counted; the newest arrive."""
    samlare.write(carbon.port, endpoint(shown.url(), "shop.web1"), interval=100, more="Buffer = 5")
    with samlare.up():
        samlare.until(lambda counters: counters["dropped"] >= 3 and counters["waiting"] == 5)
        shown.figures = {"tasks": 9}
        asked = len(shown.asked)
        wait_until(lambda: len(shown.asked) > asked + 6)
        with carbon.up():
            wait_until(lambda: 9 in carbon.values("shop.web1.tasks").values())
    assert 3 not in carbon.values("shop.web1.tasks").values()


def test_reload(carbon, shown, samlare, tmp_path):
    """HUP reads the file again. A faulty one changes nothing, whatever has become of what the old one names."""
    token = tmp_path / "token"
    token.write_text("abc")
    samlare.write(carbon.port, endpoint(shown.url(), "one", TokenFile=f'"{token}"'))
    with carbon.up(), samlare.up():
        wait_until(lambda: carbon.values("one.tasks"))
        token.unlink()
        samlare.reload()
        wait_until(lambda: "TokenFile" in samlare.process.output())
        samlare.path.write_text("CarbonPort = 0\n")
        samlare.reload()
        wait_until(lambda: samlare.process.output().count("nothing is changed") == 2)
        asked = len(shown.asked)
        wait_until(lambda: len(shown.asked) > asked + 1)
        samlare.write(carbon.port, endpoint(shown.url(), "two"))
        samlare.reload()
        wait_until(lambda: carbon.values("two.tasks"))
        assert samlare.counters()["reloads"] == 1


def test_end(carbon, shown, samlare):
    """TERM ends it with 0, after what was read last has been sent; at once too where carbon is away."""
    samlare.write(carbon.port, endpoint(shown.url(), "shop.web1"), interval=60_000)
    with carbon.up(), samlare.up():
        samlare.until(lambda counters: counters["looks"] == 1)
        samlare.process.terminate()
        assert samlare.process.wait(5) == 0
        wait_until(lambda: 3 in carbon.values("shop.web1.tasks").values())
    with samlare.up():
        samlare.until(lambda counters: counters["looks"] == 1)
        began = time.monotonic()
        samlare.process.terminate()
        assert samlare.process.wait(5) == 0
        assert time.monotonic() - began < 3  # Timeout is 0.5 s


def test_tls(carbon, shown, samlare, tmp_path):
    """https is checked: by CA where it is named, else by the system's, which knows no test."""
    key, cert = tmp_path / "key", tmp_path / "cert"
    done = run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
    assert done.returncode == 0, done.stderr
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(cert, key)
    port = shown.also(lambda runner, port: web.TCPSite(runner, "127.0.0.1", port, ssl_context=trust))
    url = f"https://localhost:{port}/debug/vars"
    samlare.write(carbon.port, endpoint(url, "known", CA=f'"{cert}"'),
                  endpoint(url, "unknown", FailureMetric='"failed"'))
    with carbon.up(), samlare.up():
        wait_until(lambda: carbon.values("known.tasks") and 1 in carbon.values("failed").values())
        assert "CERTIFICATE_VERIFY_FAILED" in samlare.process.output()
    assert not carbon.values("unknown.tasks")
