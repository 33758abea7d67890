"""Tests of one SQLite file that web, worker and beat write at once."""

import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from proc import wait_until

from .shop import add_shop

POSTS, THREADS, WRITES = 80, 8, 50


def test_all_write_at_once(clone):
    """Requests, the tasks that they queue and beat write to one file at once: no "locked", and nothing is lost."""
    add_shop(clone)
    with clone.start("worker") as worker:
        wait_until(lambda: "ready" in worker.output())  # so it has migrated
        write(clone, worker)


def write(clone, worker):
    with (
        clone.start("python", "shop/writer.py", str(WRITES)) as writer,
        ThreadPoolExecutor(THREADS) as visitors,
        clone.start("python", "-m", "gunicorn", "slipway.wsgi", "-b127.0.0.1:0", "-w2", "--threads=4") as web,
    ):
        port = wait_until(lambda: re.search(r"Listening at: http://127.0.0.1:(\d+)", web.output()))[1]
        post = f"http://127.0.0.1:{port}/order", b"", 60
        answers = visitors.map(lambda _: urllib.request.urlopen(*post).read(), range(POSTS))
        assert {*answers} == {b"noted"}
        assert writer.wait(120) == 0, writer.output()
        counts = "SELECT source, COUNT(*), COUNT(DISTINCT number) FROM shop_note GROUP BY source"
        wanted = [("task", POSTS, POSTS), ("web", POSTS, POSTS), ("writer", WRITES, WRITES)]
        wait_until(lambda: sorted(clone.rows(counts)) == wanted, what=wanted)
        said = worker.output() + web.output() + writer.output()
    assert "locked" not in said and "Traceback" not in said, said
