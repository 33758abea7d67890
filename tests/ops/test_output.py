"""Tests of output that nobody reads: the site, the worker and beat continue, and later report the lost lines."""

import contextlib
import json
import os
import re
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ops.served import serve
from proc import ROOT, VE_PYTHON, running, wait_until

PRODUCTION = {
    "SITE_URL": "http://localhost",
    "SECRET_KEY": secrets.token_hex(32),
    "BROKER_URL": "",
    "ROLE": "web",
    "PYTHONWARNINGS": "ignore:No directory at",
}
LONG = {"User-Agent": "x" * 3000}  # makes access lines long: the pipe holds about 250
REQUESTS = 1000
LOST = re.compile(r"^(\d+) log lines were lost")


class Reader:
    """The reader of a process's stderr, which reads only after `start`."""

    def __init__(self):
        self.read_end, self.write_end = os.pipe()
        self.data, self.thread = b"", None

    def start(self):
        """Read until all its writers have ended."""
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while chunk := os.read(self.read_end, 65536):
            self.data += chunk

    def lines(self):
        """Return the complete lines so far."""
        return self.data.decode().split("\n")[:-1]


@pytest.fixture
def reader():
    reader = Reader()
    yield reader
    with contextlib.suppress(OSError):
        os.close(reader.write_end)
    if reader.thread:
        reader.thread.join(30)
    os.close(reader.read_end)


def told_as_lost(lines):
    return sum(int(found[1]) for line in lines if (found := LOST.match(json.loads(line)["message"])))


def test_visitors_do_not_wait_for_the_log(sqlite_url, site_folder, reader):
    """If nobody reads stderr, 1,000 requests are all answered. Later each line is complete, and every line is there, or
    is counted as lost in the log and in /metrics."""
    with serve(
        site_folder,
        "from project.settings_docker import *",
        stderr=reader.write_end,
        WEB_CONCURRENCY="2",
        DATABASE_URL=sqlite_url,
        **PRODUCTION,
    ) as site:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: site.get("/no-such-page?card=planted", LONG).status, range(REQUESTS)))
        assert set(answers) == {404}
        assert site.figures()["log_lines_lost_total"] > REQUESTS / 4, "more was written than is kept"
        reader.start()
        wait_until(lambda: len(reader.data) > 500_000, what="what is kept is read")
        lost = site.figures()["log_lines_lost_total"]
        wait_until(lambda: site.get("/after") and told_as_lost(reader.lines()) == lost, 60, "the workers tell it")
    told = [line for line in map(json.loads, reader.lines()) if "no-such-page" in line["message"]]
    assert len(told) + lost == 2 * REQUESTS
    line = next(line for line in told if line["logger"] == "gunicorn.access")
    assert (line["method"], line["path"], line["status"], line["user_agent"]) == (
        "GET",
        "/no-such-page",
        404,
        LONG["User-Agent"][: len(line["user_agent"])],
    )
    assert line["ms"] > 0 and {"time", "level", "request_id", "release"} < line.keys() and "planted" not in str(told)


@pytest.mark.parametrize("extra", ["", '"root": {"handlers": ["own"]}', '"loggers": {"django": {"handlers": ["own"]}}'])
def test_logs_of_the_team(site_folder, extra):
    """gunicorn starts with a LOGGING of the team's, which need not name gunicorn's loggers or handlers."""
    own = f'LOGGING = {{"version": 1, "handlers": {{"own": {{"class": "logging.StreamHandler"}}}}, {extra}}}'
    with serve(site_folder, f"{own}\nROOT_URLCONF = 'live'\nLOGGING_CONFIG = 'slipway.logs.errors.configure'") as site:
        assert site.get("/fail").status == 500
        wait_until(lambda: '"raised": {"type": "RuntimeError"' in site.process.output(), 20, "the error is on stderr")


def script(text, stderr):
    """Run a process that installs this output and runs the code."""
    code = f"import os, sys\nfrom slipway.logs import output\noutput.install()\n{text}"
    return running([VE_PYTHON, "-c", code], cwd=ROOT, stderr=stderr)


def test_last_lines_are_there(reader):
    """All that a process writes just before it crashes can be read, and its child's output before os._exit, once."""
    crash = (
        "if not os.fork():\n    print('the child', file=sys.stderr)\n    os._exit(0)\nos.wait()\n"
        "for _ in range(3_000): print('x' * 99, file=sys.stderr)\nraise RuntimeError('on purpose')"
    )
    with script(crash, reader.write_end) as process:
        os.close(reader.write_end)
        reader.start()
        assert process.wait(30) == 1
        reader.thread.join(30)
    said = [line for line in reader.lines() if "File" not in line]
    assert said[:3001] == ["the child", *["x" * 99] * 3_000] and said[-1] == "RuntimeError: on purpose"


def test_an_end_and_memory_have_limits(reader):
    """A process that writes 50 MB to no reader exits at once with its own code, and never keeps them in memory."""
    chatter = (
        "import resource\nheld = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\nbefore = held()\n"
        "for _ in range(500_000): print('x' * 99, file=sys.stderr)\n"
        "sys.exit(7 if held() - before < 8_000 else 1)"
    )
    with script(chatter, reader.write_end) as process:
        assert process.wait(60) == 7
