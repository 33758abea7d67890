"""Logs of a running site: JSON where the settings say so, the same request id in all that belongs together."""

import json
import re
import socket

import pytest
from ops.served import serve

from proc import wait_until

SETTINGS = """
from slipway.logs.logging import logging_config
LOGGING = logging_config(json=True)
ROOT_URLCONF = "scratch_urls"
DEBUG = False
ALLOWED_HOSTS = ["*"]
"""
URLS = """
import logging
from django.http import HttpResponse
from django.urls import path, re_path

def fail(request):
    logging.getLogger("shop").info("selling\\n%s", request.GET.get("what"))
    raise RuntimeError("broken\\non purpose")

urlpatterns = [path("fail", fail), re_path("ok", lambda request: HttpResponse("ok"))]
"""


@pytest.fixture(scope="module")
def site(sqlite_url, tmp_path_factory):
    folder = tmp_path_factory.mktemp("a site")
    (folder / "scratch_urls.py").write_text(URLS)
    with serve(folder, SETTINGS, DATABASE_URL=sqlite_url, RELEASE="build-42") as site:
        yield site


def lines(site, request_id=None):
    """The log so far, each line an object."""
    told = [json.loads(line) for line in site.process.output().splitlines()]
    return [line for line in told if request_id in (None, line["request_id"])]


def test_every_line_is_an_object_with_one_id_a_request(site):
    """What a request logs, its failure and its access line: one line each, all with the id that the answer told."""
    answer = site.get("/fail?what=a%0Aforged&token=s3cret", {"User-Agent": "tester"})
    given = answer.headers["X-Request-ID"]
    assert answer.status == 500 and re.fullmatch("[0-9a-f]{32}", given)
    wait_until(lambda: len(lines(site, given)) == 3)
    said, failed, access = lines(site, given)
    assert (said["logger"], said["message"]) == ("shop", "selling\na\nforged")
    assert failed["level"] == "ERROR" and "RuntimeError: broken\non purpose" in failed["exception"]
    assert {name: access[name] for name in ("method", "path", "status", "remote", "user_agent", "release")} == {
        "method": "GET", "path": "/fail", "status": 500, "remote": "127.0.0.1", "user_agent": "tester",
        "release": "build-42"}
    assert access["ms"] >= 0 and access["bytes"] > 0 and "s3cret" not in str(access)


def test_the_servers_own_lines_are_objects_too(site):
    """gunicorn's start, and requests it cannot read."""
    with socket.create_connection(("127.0.0.1", site.port)) as sock:
        sock.sendall(b"nonsense \x1b[2J\r\nforged: 1\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 400")
    wait_until(lambda: any("nvalid request" in line["message"] for line in lines(site)))
    assert {"gunicorn.error"} <= {line["logger"] for line in lines(site)}


def test_an_id_is_taken_where_it_is_one(site):
    """nginx's id goes through; what is no id is replaced. Who asks for the head alone, as monitors do, gets none, and
    that is nothing to warn of. Probes come every few seconds: only who is refused is told."""
    assert {site.get(path).status for path in ("/healthz", "/readyz")} == {200}
    refused, head = site.get("/metrics"), site.get("/ok", method="HEAD")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "2")
    for answer in (refused, head):
        given = answer.headers["X-Request-ID"]
        wait_until(lambda: [(line["logger"], line["status"]) for line in lines(site, given)] == [
            ("gunicorn.access", answer.status)])
    assert not [line for line in lines(site) if line.get("path") in ("/healthz", "/readyz")]
    taken = site.get("/ok", {"X-Request-ID": "abcdef-0123456789"}).headers["X-Request-ID"]
    assert taken == "abcdef-0123456789"
    wait_until(lambda: [line["path"] for line in lines(site, taken)] == ["/ok"])
    for forged in ("short", "x" * 65, "with a space in it", 'quote"quote"quote', "", "\xe9" * 10):
        given = site.get("/ok", {"X-Request-ID": forged}).headers["X-Request-ID"]
        assert re.fullmatch("[0-9a-f]{32}", given), forged
