"""Tests of a worker as a deploy uses it: it reports its state, pauses on request, and returns unknown tasks."""

import time

from proc import wait_until

from .shop import add_shop

WORKER = ("python", "-m", "celery", "-A", "project", "worker", "--loglevel=INFO")
# The same worker, which keeps an unknown task for ten minutes.
PATIENT = (
    "python",
    "-c",
    "from slipway.jobs import worker; worker.BACK = 600; from celery.__main__ import main; main()",
    *WORKER[3:],
)
SEND = "from slipway.celery import app; app.send_task('shop.tasks.record')"


def ready_file(folder):
    path = folder / "worker.ready"
    return path.read_text() if path.exists() else ""


def notes(clone):
    return len(clone.rows("SELECT id FROM shop_note WHERE source = 'task'"))


def test_a_paused_worker_takes_no_task_until_it_consumes_again(clone, tmp_path):
    """The worker reports "consuming". With worker.pause it reports "paused" and tasks wait; later they are done."""
    add_shop(clone)
    with clone.start(*WORKER, READY_FILE=str(tmp_path / "worker.ready"), RELEASE="v1") as worker:
        wait_until(lambda: ready_file(tmp_path) == "consuming v1\n", 120, "the worker is ready")
        clone.ask("-c", SEND)
        wait_until(lambda: notes(clone) == 1, 120, worker.output())
        (tmp_path / "worker.pause").touch()
        wait_until(lambda: ready_file(tmp_path) == "paused v1\n", 30, "it has paused")
        clone.ask("-c", SEND)
        time.sleep(2)  # a consuming worker looks every 0.2 s
        assert notes(clone) == 1
        (tmp_path / "worker.pause").unlink()
        wait_until(lambda: notes(clone) == 2, 120, "the waiting task is done")
        wait_until(lambda: ready_file(tmp_path) == "consuming v1\n", 30, "it says so")


def test_an_unknown_task_is_not_lost(clone, tmp_path):
    """A task that the old release does not know stays queued; the new one does it as soon as the old one pauses."""
    add_shop(clone)
    ready = str(tmp_path / "worker.ready")
    with clone.start(*PATIENT, READY_FILE=ready, DJANGO_SETTINGS_MODULE="project.settings") as old:
        wait_until(lambda: ready_file(tmp_path), 120, "the old worker is ready")
        clone.ask("-c", SEND)
        wait_until(lambda: "unknown task shop.tasks.record: goes back" in old.output(), 120, "the old worker met it")
        with clone.start(*WORKER, RELEASE="v2") as new:
            (tmp_path / "worker.pause").touch()
            wait_until(lambda: notes(clone) == 1, 120, new.output)
