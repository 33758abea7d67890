"""Tests of slipway/make/contract.py, with images that keep the contract of docs/image.md and some that break it."""

import os

import pytest

from e2e.fleet import apps
from engine import docker
from proc import ROOT, run

# Serves well, but on a socket that only its user can write to, and exits at once on TERM.
RUDE = """#!/usr/bin/python3
import os, signal, socketserver, sys
from http.server import BaseHTTPRequestHandler
if sys.argv[1] != "run":
    sys.exit("no such command") if sys.argv[1] == "migrate" else sys.exit(print("0 migrations"))
signal.signal(signal.SIGTERM, lambda *_: os._exit(3))
os.umask(0o077)

class Handler(BaseHTTPRequestHandler):
    def address_string(self):
        return ""
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 500)
        self.end_headers()
        self.wfile.write(b'{"release": "v1"}')

socketserver.ThreadingUnixStreamServer(os.environ["SOCKET"], Handler).serve_forever()
"""


def check(name, fault="", options=""):
    """Return (exit code, lines) of slipway/make/contract.py for the stand-in app with a fault. Its release is v1."""
    image = f"{name}-{fault or 'good'}"
    docker("tag", apps.echo("v1", fault), f"{image}:v1")
    words = [f"{image}:v1", *options.split()]
    ready = "6" if fault == "unready" else "60"
    done = run(["python3", "-m", "slipway", "contract", *words], cwd=ROOT, env={**os.environ, "READY": ready})
    assert not docker("ps", "-aq", "--filter", f"ancestor={image}:v1").stdout
    docker("rmi", f"{image}:v1")
    lines = (done.stdout + done.stderr).splitlines()
    return done.returncode, [line.removeprefix("contract: ") for line in lines]


def test_who_keeps_it(name):
    """An image that keeps the contract is reported as such."""
    assert check(name) == (0, [f"{name}-good:v1 keeps the contract"])


@pytest.mark.parametrize(
    "fault, message",
    [
        ("crash", "run: the container has exited; its log ends: told to crash"),
        ("unready", "GET /readyz: 503, not 200 within 6 s; "),
        ("impostor", """GET /readyz: answers '{"release": "another", """),
        ("migration", "migrate: exit 1: django.db.utils.ProgrammingError: told to fail"),
    ],
)
def test_a_term_that_is_broken(name, fault, message):
    """The broken term is reported with the program's own output."""
    code, lines = check(name, fault)
    assert code == 1 and len(lines) == 1 and lines[0].startswith(message), lines


def test_all_that_is_wrong_is_told_at_once(name, tmp_path):
    """All broken terms are reported at once, one a line."""
    (tmp_path / "rude").write_text(RUDE)
    (tmp_path / "rude").chmod(0o755)
    tmp_path.chmod(0o755)
    assert check(name, options=f"-v {tmp_path}/rude:/rude:ro --entrypoint /rude") == (
        1,
        [
            "migrate: exit 1: no such command",
            "manage showmigrations --plan: prints more than a plan: 0 migrations",
            "SOCKET: nginx may not write to it, mode 700: set umask 0 before you make it",
            "GET /: 500",
            "TERM: an open request gets no answer",
            "TERM: exit code 3, not 0 or 143",
        ],
    )
