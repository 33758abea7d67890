"""Tests of make audit with the real pip-audit and a stand-in for its service. They need the network."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from connect import served
from proc import free_port, run

from .test_pins import ENVIRONMENT, copy_pins

DJANGO = {
    "id": "PYSEC-1",
    "affected": [
        {
            "package": {"name": "django", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.9"}]}],
        }
    ],
}


class Osv(BaseHTTPRequestHandler):
    """A service that knows one vulnerability, in django."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"vulns": [DJANGO]} if asked == "django" else {}).encode())


def test_what_is_known_of_a_pin_fails(tmp_path):
    """A known vulnerability fails the audit unless it is ignored. If the service is down, one line reports it."""
    copy_pins(tmp_path)

    def audit(port, *ignored):
        words = f"--vulnerability-service osv --osv-url http://127.0.0.1:{port}/v1/query {' '.join(ignored)}"
        return run(["make", "-C", tmp_path, "audit", f"AUDIT_ARGS={words}"], env=ENVIRONMENT)

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Osv)) as server:
        done, ignored = audit(server.server_port), audit(server.server_port, "--ignore-vuln PYSEC-1")
    assert done.returncode == 2 and "django" in done.stdout and "PYSEC-1" in done.stdout and "9.9" in done.stdout
    assert ignored.returncode == 0 and "make: No known vulnerabilities found" in ignored.stderr, ignored.stderr
    away = audit(free_port())
    said = [
        line
        for line in away.stderr.splitlines()
        if not line.startswith(("make: installing", "make: still", "make: ***"))
    ]
    assert away.returncode == 2 and len(said) == 1 and "Connection refused" in said[0], away.stderr
