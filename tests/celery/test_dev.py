"""Tests of worker and beat in development: real processes, started as in the README, without any service."""

import os
import re
import signal
import urllib.request

import pytest

from documented import block
from proc import ROOT, answers, append, free_port, put, signal_group, wait_until


@pytest.mark.parametrize("command", ["worker", "beat"])
def test_wrong_at_start(clone, command):
    """If .env has a malformed line, or the database file is none, worker and beat exit with a line that names it."""
    (clone.path / ".env").write_text("DATABASE_URL=nonsense\n")
    lines = [line for line in clone.run(command).stdout.splitlines() if not line.startswith("make")]
    assert len(lines) == 1 and "DATABASE_URL" in lines[0], lines
    (clone.path / ".env").unlink()
    put(clone.path / "var/db.sqlite3", "not a database, but long enough to be taken for one " * 99)
    done = clone.run("python", "-W", "ignore", "-m", "celery", "-q", "-A", "project", command)
    lines = [line for line in done.stdout.splitlines() if " INFO " not in line]
    assert done.returncode == 1 and len(lines) == 1 and "var/db.sqlite3" in lines[0], done.stdout


def test_dev(clone):
    """`make dev` on a fresh clone runs server, worker and beat in one terminal; only one migrates. Edited code is
    reloaded. One Ctrl-C ends all in order and leaves no process."""
    port = free_port()
    with clone.start("dev", f"PORT={port}") as dev:
        wait_until(lambda: f"http://127.0.0.1:{port}/" in dev.output() and "succeeded" in dev.output())
        wait_until(lambda: {*clone.rows("SELECT name FROM slipway_heartbeat")} == {("worker",), ("beat",)}, 120)
        assert answers(port) and dev.output().count("migrations applied") == 1
        assert not re.search("Traceback| ERROR |locked", dev.output()), dev.output()
        started = dict(re.findall(r"(\w+)\.1 started \(pid=(\d+)\)", dev.output()))
        assert set(started) == {"server", "worker", "beat"}
        # A change of this file also restarts beat, which sends a heartbeat at once.
        append(
            clone.path / "project/celery.py",
            "\n\nimport logging\nfrom celery.signals import task_prerun\n\n\n@task_prerun.connect\n"
            'def tell(**_):\n    logging.getLogger("project").info("the new code")\n',
        )
        wait_until(lambda: re.search(r"worker\.1 .*the new code", dev.output()), 120, "what was edited runs")
        signal_group(dev, signal.SIGINT)
        dev.wait(120)
        said = dev.output()
    for name, pid in started.items():
        assert f"{name}.1 stopped (rc=0)" in said, said
        with pytest.raises(ProcessLookupError):
            os.killpg(int(pid), 0)


STREAM = """
import asyncio
from django.http import StreamingHttpResponse

async def events(request):
    async def stream():
        while True:
            yield ": \\n\\n"
            await asyncio.sleep(1)
    return StreamingHttpResponse(stream(), content_type="text/event-stream")

urlpatterns.append(path("events", events))
"""


def test_an_edit_during_a_stream(clone):
    """The server of docs/image.md for ASGI logs requests, and restarts though a browser reads an event stream."""
    (clone.path / "Procfile.dev").write_text(block(ROOT / "docs/image.md", "server: "))
    urls, port = clone.path / "project/urls.py", free_port()
    append(urls, STREAM)
    with clone.start("dev", f"PORT={port}") as dev:
        wait_until(lambda: answers(port))
        wait_until(lambda: re.search("gunicorn.access .* GET /", dev.output()))
        with urllib.request.urlopen(f"http://localhost:{port}/events", timeout=60) as stream:
            assert stream.readline() == b": \n"
            wait_until(lambda: "Reloading" in dev.output() or append(urls, "\n"))
            wait_until(lambda: answers(port))
