"""A site under gunicorn as in production, with the test's own settings."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from connect import connection_to
from load import ask
from proc import ROOT, VE_PYTHON, free_port, running, signal_group, wait_until


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float

    def json(self):
        return json.loads(self.body)

    def down(self):
        """Return the parts that are down in a /readyz."""
        return {name for name, part in self.json()["parts"].items() if part["state"] == "down"}


class Site:
    def __init__(self, process, port, path):
        self.process, self.port, self.path = process, port, path

    def connection(self, unix=False):
        return connection_to(self.path if unix else self.port)

    def get(self, path, headers=None, unix=False, method="GET", connection=None):
        connection = connection or self.connection(unix)
        start = time.monotonic()
        connection.putrequest(method, path, skip_host=any(name.lower() == "host" for name in headers or {}))
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read(), time.monotonic() - start)

    def children(self):
        """Return the process ids of the workers."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid) for pid in path.read_text().split()}

    def kill(self):
        """Kill gunicorn and its workers, as a power cut does. Return when none of them can write any more."""
        workers = self.children()
        signal_group(self.process, signal.SIGKILL)
        self.process.wait(10)
        wait_until(lambda: not any(runs(pid) for pid in workers), what="the workers have ended")

    def figures(self):
        """Return /metrics as {name with labels: number}."""
        page = self.get("/metrics", unix=True)
        assert page.status == 200, page
        lines = page.body.decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def ready(self):
        """Wait until the site is ready."""
        wait_until(lambda: self.get("/readyz").status == 200, what="the site is ready")


def metrics_of(process):
    """Return the folder of a server's metrics, whose files it maps. Names do not tell: a process of this number may
    have been killed before, and have left its folder."""
    (folder,) = {
        Path(line.split()[-1]).parent
        for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines()
        if "/metrics-" in line
    }
    return folder


def runs(pid):
    """Return whether this process exists and is no zombie: without an init, nobody may collect an orphan."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


COMMAND = [sys.executable, "-m", "gunicorn", "--config", "python:slipway.web.gunicorn"]
RUN = ["env", f"PATH={VE_PYTHON.parent}:{os.environ['PATH']}", ROOT / "docker-run.sh", "run"]


def answers(path):
    """Return True if /healthz of that unix socket is 200."""
    return ask(path, "/healthz", 0, 60).outcome == "200"


@contextlib.contextmanager
def short_folder():
    """Yield a folder for a socket, whose path may have only about 100 characters."""
    with tempfile.TemporaryDirectory(prefix="web-", dir="/tmp") as path:
        yield Path(path)


@contextlib.contextmanager
def serve(folder, settings="", arguments=(), stderr=None, **env):
    """Run gunicorn on a TCP port and a unix socket, with `settings` added to development's. Yield the Site. With DRAIN,
    its first process is the image's entrypoint."""
    (folder / "scratch_settings.py").write_text(f"from project.settings import *\n{settings}")
    port = free_port()
    path = os.pathsep.join([str(folder), str(Path(__file__).parent)])  # includes live.py of this folder
    env = {
        **os.environ,
        "PYTHONPATH": path,
        "DJANGO_SETTINGS_MODULE": "scratch_settings",
        "CACHE_URL": "locmem://",
        "BROKER_URL": "memory://",
        "WEB_CONCURRENCY": "1",
        **env,
    }
    with short_folder() as short:
        path = short / "web.sock"
        command = [*(RUN if "DRAIN" in env else COMMAND), "-b", f"127.0.0.1:{port}", "-b", f"unix:{path}", *arguments]
        with running(command, cwd=ROOT, env=env, stderr=stderr or subprocess.STDOUT) as process:
            site, workers = Site(process, port, path), int(env["WEB_CONCURRENCY"])
            wait_until(lambda: process.poll() is not None or site.figures()["workers"] >= workers, what="workers")
            assert process.poll() is None, process.output()
            yield site
