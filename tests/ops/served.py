"""A site under gunicorn, as production runs it, with settings of the test's own."""

import contextlib
import http.client
import json
import os
import socket
import time
from dataclasses import dataclass

from proc import ROOT, VE_PYTHON, free_port, running, wait_until


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float

    def json(self):
        return json.loads(self.body)

    def down(self):
        """The parts that /readyz says are down."""
        return {name for name, part in self.json()["parts"].items() if part["state"] == "down"}


class Site:
    def __init__(self, process, port, path):
        self.process, self.port, self.path = process, port, path

    def connection(self, unix=False):
        return UnixConnection(self.path, 60) if unix else http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def get(self, path, headers=None, unix=False, method="GET", connection=None):
        connection = connection or self.connection(unix)
        start = time.monotonic()
        connection.putrequest(method, path, skip_host=any(name.lower() == "host" for name in headers or {}))
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read(), time.monotonic() - start)

    def workers(self):
        """How many have started."""
        return self.get("/metrics", unix=True).body.count(b"\nprocess_resident_memory_bytes{")

    def ready(self):
        """Wait until all is well."""
        def is_ready():
            answer = self.get("/readyz")
            assert answer.status == 200, answer.body
            return True
        wait_until(is_ready)


@contextlib.contextmanager
def serve(folder, settings="", arguments=(), **env):
    """gunicorn on a TCP port and on a unix socket, with `settings` added to development's."""
    (folder / "scratch_settings.py").write_text(f"from project.settings import *\n{settings}")
    port, path = free_port(), folder / "web.sock"
    env = {**os.environ, "PYTHONPATH": str(folder), "DJANGO_SETTINGS_MODULE": "scratch_settings",
           "CACHE_URL": "locmem://", "BROKER_URL": "memory://", "WEB_CONCURRENCY": "1", **env}
    command = [VE_PYTHON, "-m", "gunicorn", "-c", "python:project.ops.gunicorn", "-b", f"127.0.0.1:{port}",
               "-b", f"unix:{path}", *arguments]
    with running(command, cwd=ROOT, env=env) as process:
        site = Site(process, port, path)
        workers = int(env["WEB_CONCURRENCY"])
        wait_until(lambda: process.poll() is not None or site.workers() == workers, what="gunicorn's workers")
        assert process.poll() is None, process.output()
        yield site
