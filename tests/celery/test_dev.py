"""Worker and beat in development: real ones, started as the README says, with nothing installed."""

import os
import pty
import re
import select
import urllib.request

import pytest

from proc import answers, free_port, wait_until

from .shop import add_shop

SEVENTY = 70  # seconds: how long a newcomer waits at most until the page shows both alive


def both_alive(clone):
    return clone.heartbeats() == {"worker", "beat"}


def test_all_at_once(clone):
    """Server, worker and beat started at the same moment on a fresh clone: one migrates, none errs."""
    port = free_port()
    with (clone.start("worker") as worker, clone.start("beat") as beat,
          clone.start("runserver", f"PORT={port}") as server):
        wait_until(lambda: answers(port))
        wait_until(lambda: both_alive(clone), SEVENTY)
        said = worker.output() + beat.output() + server.output()
    assert said.count("migrations applied") == 1
    assert "Traceback" not in said and " ERROR " not in said and "locked" not in said, said


def test_database_made_by_many(clone):
    """Any number of processes may find no database at the same moment: one makes it, the others wait."""
    done = clone.run("python", "-c", MANY, DJANGO_SETTINGS_MODULE="project.settings")
    assert done.returncode == 0 and done.stdout.splitlines().pop() == "[0, 0, 0, 0]", done.stdout
    assert done.stdout.count("migrations applied") == 1


MANY = """
import os, django
django.setup()
from slipway.schema.database import prepare
children = []
for _ in range(4):
    child = os.fork()
    if not child:
        prepare(lambda line: print(line, flush=True))
        os._exit(0)
    children.append(child)
print([os.waitpid(child, 0)[1] for child in children])
"""


@pytest.mark.parametrize("command", ["worker", "beat"])
def test_wrong_at_start(clone, command):
    """A malformed line in .env, or a file that is no database: worker and beat end with a line that names it."""
    (clone.path / ".env").write_text("DATABASE_URL=nonsense\n")
    lines = [line for line in clone.run(command).stdout.splitlines() if not line.startswith("make")]
    assert len(lines) == 1 and "DATABASE_URL" in lines[0], lines
    (clone.path / ".env").unlink()
    (clone.path / "var").mkdir(exist_ok=True)
    (clone.path / "var/db.sqlite3").write_text("not a database, but long enough to be taken for one " * 99)
    done = clone.run("python", "-W", "ignore", "-m", "celery", "-q", "-A", "project", command)
    lines = [line for line in done.stdout.splitlines() if " INFO " not in line]
    assert done.returncode == 1 and len(lines) == 1 and "var/db.sqlite3" in lines[0], done.stdout


def test_request_id_travels(clone):
    """The id of a request shows in the worker's lines on the task that it queued."""
    add_shop(clone)
    port, given = free_port(), "visitor-12345678"
    with clone.start("worker") as worker, clone.start("python", "manage.py", "runserver", str(port)):
        def ordered():
            request = urllib.request.Request(f"http://localhost:{port}/order", headers={"X-Request-ID": given})
            return urllib.request.urlopen(request, timeout=30).headers["X-Request-ID"] == given
        wait_until(ordered)
        wait_until(lambda: "recorded" in worker.output())
        assert re.search(r"INFO shop \[visitor-.*\] recorded", worker.output()), worker.output()


class Terminal:
    """`make dev` in the foreground of a terminal."""

    def __init__(self, clone, *words):
        self.said = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(clone.path)
            os.execvpe("make", clone.command(words), clone.environment)

    def read(self):
        """All it has said so far; None once all who had the terminal are gone."""
        if not select.select([self.fd], [], [], 0.1)[0]:
            return self.said.decode()
        try:
            more = os.read(self.fd, 65536)
        except OSError:  # Linux's way to say so
            return None
        self.said += more
        return self.said.decode() if more else None

    def wait_for(self, *texts):
        wait_until(lambda: all(text in (self.read() or "") for text in texts))

    def end(self):
        """Ctrl-C; returns when make has ended, and fails where it does not within a minute."""
        os.write(self.fd, b"\x03")
        wait_until(lambda: self.read() is None)
        os.waitpid(self.pid, 0)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:  # a test that failed leaves no process either
            self.end()
        os.close(self.fd)


def edit(clone):
    """A file of the team's. Beat, which starts anew as well, sends a heartbeat at once."""
    with (clone.path / "project/celery.py").open("a") as file:
        file.write("\n\nimport logging\nfrom celery.signals import task_prerun\n\n\n@task_prerun.connect\n"
                   "def tell(**_):\n    logging.getLogger(\"project\").info(\"the new code\")\n")


def test_dev(clone):
    """make dev: the page and both heartbeats in one terminal; what is edited runs as it is now; one Ctrl-C ends all, in
    order, and leaves no process."""
    port = free_port()
    with Terminal(clone, "dev", f"PORT={port}") as terminal:
        terminal.wait_for(f"http://127.0.0.1:{port}/", "succeeded")
        wait_until(lambda: both_alive(clone), SEVENTY)
        assert answers(port)
        started = dict(re.findall(r"(\w+)\.1 started \(pid=(\d+)\)", terminal.said.decode()))
        assert set(started) == {"server", "worker", "beat"}
        edit(clone)
        wait_until(lambda: re.search(r"worker\.1 .*the new code", terminal.read()), 60, "what was edited runs")
        terminal.end()
    said = terminal.said.decode()
    for name, pid in started.items():
        assert f"{name}.1 stopped (rc=0)" in said, said
        with pytest.raises(ProcessLookupError):
            os.killpg(int(pid), 0)
