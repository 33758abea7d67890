"""What a worker does is counted where the site can tell of it."""

import pytest

from proc import wait_until

from .shop import add_shop
from .test_worker import notes, send

WORKER = ("python", "-m", "celery", "-A", "project", "worker", "--loglevel=INFO", "--concurrency=2")
COUNTED = "SELECT task, state, count FROM slipway_taskcount ORDER BY task, state"


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_tasks_are_counted_however_soon_the_worker_ends(clone, pool):
    """Those that went well and those that failed; also the last ones before its end."""
    add_shop(clone)
    (clone.path / "shop/tasks.py").write_text((clone.path / "shop/tasks.py").read_text() + """
@shared_task
def fail():
    raise ValueError("broken")
""")
    with clone.start(*WORKER, f"--pool={pool}") as worker:
        wait_until(lambda: " ready." in worker.output(), 60, worker.output)
        send(clone, "shop.tasks.record", "shop.tasks.fail", "shop.tasks.record")
        wait_until(lambda: notes(clone) == 2 and "ValueError" in worker.output(), 60, worker.output)
        worker.terminate()
        assert worker.wait(60) == 0
    assert clone.rows(COUNTED) == [("shop.tasks.fail", "failure", 1), ("shop.tasks.record", "success", 2)]
