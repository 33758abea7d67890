"""make contract-check, with images that keep docs/contract.md and some that do not."""

import os
import re

import pytest

from e2e.fleet import apps
from engine import docker
from proc import ROOT, run

# Serves well, but on a socket that is its own, and is gone at once at a TERM.
RUDE = """#!/usr/bin/python3
import os, signal, socketserver, sys, time
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
        self.wfile.write(b'{"release": "%s"}' % os.environ["TAG"].encode())

socketserver.ThreadingUnixStreamServer(os.environ["SOCKET"], Handler).serve_forever()
"""


def check(image, options=""):
    """(exit code, what was said) of make contract-check."""
    name, tag = image.rsplit(":", 1)
    done = run(["make", "-f", "docker.mk", "contract-check", f"IMAGE={name}", f"TAG={tag}", f"ARGS={options}"], 120,
               cwd=ROOT, env={**os.environ, "READY": "6"})
    return done.returncode, done.stdout + "".join(line for line in done.stderr.splitlines(True) if "make:" not in line)


@pytest.fixture(scope="module")
def echo(name):
    """Builds the stand-in app with a fault; the image's name, its tag the release."""
    made = set()

    def build(fault=""):
        image = f"{name}-{fault or 'good'}:v1"
        docker("tag", apps.echo("v1", fault), image)
        made.add(image)
        return image
    yield build
    docker("rmi", *made)


def test_who_keeps_it(echo):
    """That is said, and nothing is left running."""
    image = echo()
    assert check(image) == (0, f"contract: {image} keeps it\n")
    assert not docker("ps", "-aq", "--filter", f"ancestor={image}").stdout


@pytest.mark.parametrize("fault, said", [
    ("crash", "run: has ended; its log ends: told to crash"),
    ("unready", "GET /readyz: 503, not 200 within 6 s; "),
    ("impostor", "GET /readyz: says release 'another', not the tag 'v1'; "),
    ("migration", "migrate: exit 1: django.db.utils.ProgrammingError: told to fail")])
def test_a_term_that_is_broken(echo, fault, said):
    """It is told with what the program said."""
    code, lines = check(echo(fault))
    assert code == 2 and f"contract: {said}" in lines and lines.count("contract: ") == 1, lines


def test_all_that_is_wrong_is_told_at_once(echo, tmp_path):
    """A line each."""
    (tmp_path / "rude").write_text(RUDE)
    (tmp_path / "rude").chmod(0o755)
    tmp_path.chmod(0o755)
    code, said = check(echo(), f"-v {tmp_path}/rude:/rude:ro --entrypoint /rude -e TAG=v1")
    assert code == 2
    assert re.sub(r"after \d s", "after 0 s", said).splitlines() == [
        "contract: migrate: exit 1: no such command",
        "contract: manage showmigrations --plan: prints what is no line of a plan: 0 migrations",
        "contract: SOCKET: nginx may not write to it, mode 700: umask 0 before it is made",
        "contract: GET /: 500",
        "contract: TERM: drops a request that had begun",
        "contract: TERM: ends with 3 after 0 s"]


def test_an_image_that_is_not_there():
    """What to do is said."""
    assert check("contract-none:v1") == (2, "contract: there is no image contract-none:v1 here: make build, or docker"
                                            " pull\n")
