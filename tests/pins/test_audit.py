"""make audit with the real pip-audit, and a stand-in for the service that it asks. Needs the network."""

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from proc import ROOT, free_port, run

from .test_pins import ENVIRONMENT, copy_pins, network  # noqa: F401: a fixture

DJANGO = {"id": "PYSEC-1", "aliases": ["CVE-2026-1"], "summary": "bad", "affected": [
    {"package": {"name": "django", "ecosystem": "PyPI"},
     "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.9"}]}]}]}


class Osv(BaseHTTPRequestHandler):
    """Knows of one vulnerability, in django."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked["package"]["name"])
        said = json.dumps({"vulns": [DJANGO]} if asked["package"]["name"] == "django" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def service() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Osv)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Runs make audit in a copy of the pins, which asks at a port."""
    folder = tmp_path_factory.mktemp("project")
    copy_pins(folder)

    def call(port, *ignored):
        words = f"--vulnerability-service osv --osv-url http://127.0.0.1:{port}/v1/query {' '.join(ignored)}"
        return run(["make", "-C", folder, "audit", f"AUDIT_ARGS={words}"], timeout=300, env=ENVIRONMENT)
    return call


def test_all_pins_are_asked_about(make):
    """What the service knows is told, with the file that pins it; unless it is to be ignored."""
    with service() as server:
        done = make(server.server_port)
        told = [line for line in done.stdout.splitlines() if ": django " in line]
        assert done.returncode == 2 and len(told) == 1, done.stdout + done.stderr
        pinned = "requirements.txt, requirements/dev.txt, requirements/s3.txt, companions/mounted/requirements.txt"
        assert told[0].startswith(f"{pinned}: django ")
        assert told[0].endswith(": PYSEC-1 (CVE-2026-1): fixed in 9.9")
        assert {"django", "pytest", "pyinfra", "uv", "pip-audit"} <= set(server.asked)
        done = make(server.server_port, "--ignore-vuln PYSEC-1")
        assert done.returncode == 0 and "nothing is known against" in done.stdout, done.stderr


def test_a_service_that_is_away(make):
    """Is told in a line, and no good news."""
    done = make(free_port())
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("make: installing", "make: ***"))]
    assert done.returncode == 2 and len(lines) == 1 and "127.0.0.1 does not answer" in lines[0], done.stderr


def test_each_file_of_pins_can_be_asked_about():
    """Each .in file has its pins, so none is left out."""
    for path in [ROOT / "requirements.in", *ROOT.glob("requirements/*.in")]:
        assert os.path.exists(path.with_suffix(".txt")), path
