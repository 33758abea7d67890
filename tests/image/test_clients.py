"""What other people's clients find: curl and wrk, against a container of the image. tests/browser has Chromium."""

import os
import re
import secrets
import shutil

import pytest

from proc import run, wait_until

from .web import visitor


@pytest.fixture(scope="module")
def site(run_for_all, data):
    """The address of a site."""
    web = run_for_all(options=data)
    visitor(web, host="localhost")
    return web


def program(name):
    """Its path; missing programs are skipped, but not in CI, which installs them."""
    return shutil.which(name) or (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{name} is not installed here")


@pytest.mark.parametrize("options", [["--http1.0"], ["--http1.1"], ["--compressed"], ["--head"], ["--http2"],
                                     ["--range", "0-10"], ["--header", "Expect: 100-continue", "--data", "x=y"]])
def test_curl(site, options):
    """curl gets a whole answer, and as its protocol has it, whatever it asks for: no warning, no surplus bytes."""
    done = run([program("curl"), "--silent", "--show-error", "--verbose", "--max-time", "30", "--write-out",
                "%{http_code} ", *options, *2 * ["--output", os.devnull], site.url(), site.url("/healthz")])
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("403 405 " if "--data" in options else "200 200 "), done.stdout
    assert not re.search("(?i)excess|malformed|weird|unexpected|illegal", done.stderr), done.stderr


def test_wrk(site):
    """wrk, with and without kept connections, has no error and no answer but 200."""
    mark = secrets.token_hex(8)  # what was logged before it may come to be seen only now
    run([program("curl"), "--silent", "--user-agent", mark, site.url()])
    wait_until(lambda: mark in site.logs(), 30, "a request is logged")
    for header in ("Connection: keep-alive", "Connection: close"):
        done = run([program("wrk"), "--threads=2", "--connections=16", "--duration=3s", "--timeout=20s",
                    f"--header={header}", site.url()])
        assert done.returncode == 0 and "Requests/sec" in done.stdout, done.stderr
        assert int(re.search(r"(\d+) requests in", done.stdout)[1]) > 50
        assert "Socket errors" not in done.stdout and "Non-2xx" not in done.stdout, done.stdout
    logged = site.logs().partition(mark)[2]
    assert not re.search('"level": "(WARNING|ERROR|CRITICAL)"', logged), logged[-3000:]
