"""Worker and beat whose output nobody reads."""

import os
import signal

import pytest

from proc import wait_until

from .shop import FILES, add_shop
from .test_worker import send

SETTINGS = """
from slipway.logs import output
CELERY_WORKER_POOL = "prefork"
output.install()
"""
TASK = """
@shared_task
def chat():
    for _ in range(2_000):
        logging.getLogger("shop").info("x" * 1000)
    note("chat")
"""


@pytest.fixture
def full_pipe():
    """The end to write to, of a pipe that takes not a byte more."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    try:
        while True:
            os.write(write_end, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(write_end, True)
    yield write_end
    os.close(read_end)
    os.close(write_end)


def test_worker_and_beat_do_not_wait_for_the_log(clone, full_pipe):
    """From their first line on nobody reads: beat sends, the worker's children work through chatty tasks, TERM ends
    both as ever."""
    add_shop(clone)
    for name, more in (("shop/settings.py", SETTINGS), ("shop/tasks.py", TASK)):
        (clone.path / name).write_text(FILES[name] + more)
    celery = ("python", "-m", "celery", "-A", "project")
    unread = {"stdout": full_pipe, "stderr": full_pipe}
    with clone.start(*celery, "worker", "--loglevel=INFO", **unread) as worker, \
            clone.start(*celery, "beat", "--pidfile=", **unread) as beat:
        wait_until(lambda: clone.heartbeats() == {"worker", "beat"}, 70, "both are alive")
        send(clone, *["shop.tasks.chat"] * 3)
        done = "SELECT id FROM shop_of_tests_note WHERE source = 'chat'"
        wait_until(lambda: len(clone.rows(done)) == 3, 60, "tasks are done")
        for process in (beat, worker):
            process.send_signal(signal.SIGTERM)
        assert [beat.wait(20), worker.wait(20)] == [0, 0]
