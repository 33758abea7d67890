"""Debian's carbon, endpoints that a test controls, and samlare between them."""

import contextlib
import json
import os
import sys
import threading
import time
import urllib.request
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from proc import free_port, run, running, wait_until

FOLDER = Path(__file__).resolve().parent.parent
SETTINGS = """[cache]
USER =
STORAGE_DIR = {folder}
CONF_DIR = {folder}
LINE_RECEIVER_INTERFACE = 127.0.0.1
LINE_RECEIVER_PORT = {port}
PICKLE_RECEIVER_PORT = 0
CACHE_QUERY_PORT = 0
ENABLE_TAGS = False
"""


class Carbon:
    """carbon-cache on a port of its own, which it keeps across restarts."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        (folder / "storage-schemas.conf").write_text("[all]\npattern = .*\nretentions = 1s:1h\n")
        (folder / "carbon.conf").write_text(SETTINGS.format(folder=folder, port=self.port))

    @contextlib.contextmanager
    def up(self):
        """Run carbon for the block. TERM ends it, so that it writes its memory to disk."""
        command = ["carbon-cache", "--nodaemon", f"--config={self.folder}/carbon.conf", "start"]
        env = {**os.environ, "GRAPHITE_ROOT": str(self.folder)}
        with running(command, cwd=self.folder, env=env) as process:
            wait_until(lambda: f"CarbonReceiverFactory starting on {self.port}" in process.output())
            yield process

    def values(self, name):
        """Return {second: value} of a metric, as whisper-fetch reads it."""
        done = run(["whisper-fetch", "--json", self.folder / "whisper" / (name.replace(".", "/") + ".wsp")])
        if done.returncode:
            return {}
        told = json.loads(done.stdout)
        seconds = range(told["start"], told["end"], told["step"])
        return {second: value for second, value in zip(seconds, told["values"], strict=False) if value is not None}


@pytest.fixture
def carbon(tmp_path):
    return Carbon(tmp_path)


class Answer(BaseHTTPRequestHandler):
    """/debug/vars shows the server's `text`; /endless never ends; /hung answers when the test has ended."""

    def do_GET(self):
        self.server.asked.append(self.headers)
        self.server.seconds[int(time.time())] += 1
        if self.path == "/hung":
            self.server.ended.wait()
        if self.path not in ("/debug/vars", "/endless"):
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(self.server.text.encode())
            while self.path == "/endless":
                self.wfile.write(b"9" * 1_000_000)


@pytest.fixture
def shown():
    """Yield an HTTP server whose text a test may change. `asked` has the headers of each request, `seconds` the number
    of requests in each second."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.text, server.asked, server.ended = '{"tasks": 3}', [], threading.Event()
        server.seconds = Counter()
        server.url = lambda path="/debug/vars": f"http://127.0.0.1:{server.server_port}{path}"
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.ended.set()
        server.shutdown()


class Samlare:
    """samlare with a configuration file that a test writes."""

    def __init__(self, path, port):
        self.path, self.port, self.process = path, port, None
        self.command = [sys.executable, "-m", "samlare", f"-config={self.path}"]

    def write(self, carbon, *endpoints, interval=1000, timeout=500, more=""):
        head = f"""CarbonPort = {carbon}\nCheckInterval = {interval}\nTimeout = {timeout}
Listen = "127.0.0.1:{self.port}"\n{more}\n"""
        self.path.write_text(head + "".join(f"[[Endpoint]]\n{endpoint}\n" for endpoint in endpoints))

    @contextlib.contextmanager
    def up(self):
        with running(self.command, cwd=FOLDER) as self.process:
            wait_until(self.counters)
            yield self
            assert "Traceback" not in self.process.output(), self.process.output()

    def counters(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/debug/vars", timeout=5) as answer:
            return json.load(answer)["samlare"]

    def until(self, condition):
        """Wait until the condition holds for samlare's counters."""
        return wait_until(lambda: condition(self.counters()))


@pytest.fixture
def samlare(tmp_path):
    return Samlare(tmp_path / "samlare.toml", free_port())


def endpoint(url, prefix, **extra):
    """Return the text of an [[Endpoint]]."""
    return "\n".join([f'URL = "{url}"', f'Prefix = "{prefix}"', *(f"{key} = {value}" for key, value in extra.items())])
