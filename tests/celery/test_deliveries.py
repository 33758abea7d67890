"""Tests of tasks that fail, on real brokers, with production's worker: no task is lost, blocks the queue, or shows its
arguments in the log."""

import contextlib
import json
import re
import sqlite3
import time
from datetime import datetime

import psycopg2
import pytest

from proc import wait_until
from relay import Relay

from .deliveries import prepared


@pytest.fixture
def redis_jobs(clone, redis):
    return prepared(clone, redis.url(7))


@pytest.fixture
def rabbitmq_jobs(clone, rabbitmq):
    return prepared(clone, rabbitmq.url())


@pytest.fixture(params=["redis", "rabbitmq"])
def jobs(request):
    return request.getfixturevalue(f"{request.param}_jobs")


def test_no_argument_and_no_result_is_logged(redis_jobs):
    """The log contains neither arguments nor results of a task, whether it succeeds, is retried too often, or is
    malformed."""
    with redis_jobs.worker() as worker:
        redis_jobs.send(
            "secret.delay('s3cret', password='s3cret')",
            "tired.delay('s3cret')",
            "order.delay(1)",
            "app.send_task('shop.tasks.nothing', ['s3cret'])",
            "with app.producer_or_acquire() as p:",
            "    p.publish({'password': 's3cret'}, routing_key='celery', exchange='')",
            "    p.publish(b's3cret', content_type='application/x-none', content_encoding='utf-8',"
            "              routing_key='celery', exchange='', headers={'task': 'shop.tasks.order', 'id': '7'})",
            "    p.publish([['s3cret'], {}, {}], routing_key='celery', exchange='',"
            "              headers={'task': 'shop.tasks.order', 'id': '8', 'expires': 's3cret'})",
        )
        for said in (
            "unknown task",
            "order 1 ended",
            "it is not a task",
            "it is not a valid task",
            "was tried 1 times",
            r"shop.tasks.secret\[[^]]*\] succeeded in [0-9.e-]+s",
        ):
            wait_until(lambda: re.search(said, worker.output()), what=said)
        assert "s3cret" not in worker.output()


def lines(worker, text):
    """Return how many lines of a worker's log have a text. One with arguments has it twice: before formatting, too."""
    return sum(text in line for line in worker.output().splitlines())


def test_a_task_that_kills_its_process_ends_in_the_dead_queue(jobs):
    """The task is started five times and then given up. Meanwhile other tasks are done. The log reports it, and
    dead_tasks lists it, sends it again, or drops it."""
    with jobs.worker() as worker:
        jobs.send("poison.delay('process')", "order.delay(1)")
        wait_until(lambda: "is dead: its worker was lost 5 times" in worker.output(), 120, "it is given up")
        assert worker.output().count("poison began") == 5 and "order 1 ended" in worker.output(), worker.output()
        *counts, said = jobs.dead("", "", "--again")  # listing changes nothing
        assert counts == [1, 1, 1] and "shop.tasks.poison: its worker was lost 5 times" in said
        wait_until(lambda: lines(worker, "is dead:") == 2, 120, "it is given up once more")
        assert jobs.dead("--drop", "")[:2] == (1, 0)


def test_a_task_that_kills_its_worker_ends_in_the_dead_queue(rabbitmq_jobs):
    """The limit, here two, also holds across restarts of the worker by systemd."""
    jobs, began = rabbitmq_jobs, 0
    jobs.send("poison.delay('worker')")
    for _ in range(2):
        with jobs.worker(LIMIT="2") as worker:
            worker.wait(120)
            began += worker.output().count("poison began")
    with jobs.worker(LIMIT="2") as worker:
        wait_until(lambda: "is dead: its worker was lost 2 times" in worker.output(), 120, "it is given up")
        assert "poison began" not in worker.output()
    assert began == 2
    jobs.send("order.delay(1)", "order.delay(2)")
    figures = jobs.clone.ask(
        "-c", "import django; django.setup()\nfrom slipway.health import metrics; print(metrics.page().decode())"
    )
    assert "celery_tasks_dead 1.0" in figures and 'celery_tasks_waiting{queue="celery"} 2.0' in figures, figures


def test_unknown_tasks_delay_nobody(jobs):
    """Twenty tasks that no release knows do not delay the task behind them, and are not lost."""
    with jobs.worker(BACK="600") as worker:
        jobs.send("[app.send_task('shop.tasks.nothing', ['s3cret']) for _ in range(20)]", "order.delay(1)")
        wait_until(lambda: "order 1 ended" in worker.output(), what="it does not wait for their return")
        wait_until(lambda: lines(worker, "goes back to the queue in ") == 20, what="all are kept")


def test_unknown_tasks_do_not_circle_for_ever(rabbitmq_jobs):
    """After some time an unknown task is given up. It can be sent again once a release knows it."""
    with rabbitmq_jobs.worker(SHORT="1") as worker:
        rabbitmq_jobs.send("app.send_task('shop.tasks.nothing')")
        wait_until(lambda: "shop.tasks.nothing[" in worker.output(), 120, "it is given up")
        assert worker.output().count("unknown task shop.tasks.nothing: goes back") == 3
    count, said = rabbitmq_jobs.dead()
    assert count == 1 and "shop.tasks.nothing: no release knows it" in said


def test_an_outage_of_the_database_costs_no_task(redis_jobs, postgres):
    """Tasks that fail because the database is down are retried at growing intervals until it is back. None is lost, and
    none counts this as a retry of its own. A statement timeout is the task's own failure."""
    jobs, relay, name = redis_jobs, Relay(postgres.port), postgres.database()
    with jobs.worker(DATABASE_URL=postgres.url(name, relay.port)) as worker:
        jobs.send("[stored.delay(number) for number in range(8)]", "slow.delay()")
        wait_until(lambda: lines(worker, "stored ") == 8 and "QueryCanceled" in worker.output(), 120)
        assert "Retry in" not in worker.output(), worker.output()
        relay.close()
        jobs.send("[stored.delay(number) for number in range(8, 28)]")
        wait_until(lambda: "Retry in 4s" in worker.output(), 120, "they are tried")
        assert "stored 8" not in worker.output()
        relay = Relay(postgres.port, relay.port)
        wait_until(lambda: lines(worker, "stored ") == 28, 120, "all are done")
        assert worker.output().count("raised unexpected") == 1, worker.output()
    relay.close()
    with contextlib.closing(psycopg2.connect(postgres.url(name))) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT session_key FROM django_session")
        assert {key for (key,) in cursor} == {f"{number} 0" for number in range(28)}


def test_a_retry_in_a_quarter_of_an_hour_is_not_lost(redis_jobs):
    """The task waits in the broker, and no worker counts the retry as a failure."""
    with redis_jobs.worker() as worker:
        redis_jobs.send("later.delay(900)")
        wait_until(lambda: "Retry in 900s" in worker.output(), 120)
        assert "later ended" not in worker.output() and "ERROR" not in worker.output()


def test_a_task_that_is_put_off_is_done_in_time_and_once(rabbitmq_jobs):
    """The worker keeps a delayed task for a second at a time, puts it back, and runs it when it is due, not before."""
    with rabbitmq_jobs.worker(SHORT="1") as worker:
        rabbitmq_jobs.send("later.delay(4)")
        wait_until(lambda: "later ended" in worker.output(), 120)
        entries = [json.loads(line) for line in worker.output().splitlines() if line.startswith("{")]
    first, second = [entry["time"] for entry in entries if entry["message"] == "later began"]
    gap = (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()
    assert 3.9 <= gap < 30


def test_how_tasks_ended_is_counted(redis_jobs):
    """A worker counts each end of a task once, by the code's names, but none that is delivered again. Failures begin
    with 0. While the database is away, the counts wait; they are stored at the worker's end, too, and add up. Runs by
    the clock count likewise."""
    clone = redis_jobs.clone
    clone.ask("manage.py", "migrate", "-v0")
    database = sqlite3.connect(clone.path / "db.sqlite3", isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    with contextlib.closing(database), redis_jobs.worker(LIMIT="1") as worker:
        redis_jobs.send(
            "order.delay(1)",
            "later.delay(0)",
            "tired.delay('x')",
            "poison.delay('process')",
            "hung.apply_async(soft_time_limit=1, time_limit=2)",
            "app.send_task('shop.tasks.forged')",
            "order.apply_async((2,), shadow='forged')",
        )
        for said in (
            "order 2 ended",
            "later ended",
            "was tried 1 times",
            "Hard time limit",
            "is dead",
            "unknown task",
            "cannot store the counts of tasks: OperationalError",
        ):
            wait_until(lambda: said in worker.output(), 120, said)
        ended = time.time()
        database.execute("ROLLBACK")
        worker.terminate()  # only the main process gets the signal, as from an engine
        assert worker.wait(120) == 0
    page = clone.ask(
        "-c",
        "import django; django.setup()\nfrom slipway.health import counts, metrics\n"
        "for one in ('success', 'signal'): counts.run('digest', one)\n"
        "for counts.RELEASE in 'vwxy': counts.add('tasks', [('shop.tasks.order succeeded', .5, 0, 3e9)])\n"
        "print(metrics.page().decode(), *map(counts.stored()['tasks'].get, ('shop.tasks.order succeeded',"
        " 'shop.tasks.tired failed', 'shop.tasks.stored failed')))",
    )
    found = re.findall(r'^(?:celery_task|scheduled_run)s_total.*?(\w+)",state="(\w+)"\} ([1-9].*)$', page, re.M)
    assert {" ".join(each) for each in found} == {
        "order succeeded 4.0",
        "later retried 1.0",
        "later succeeded 1.0",
        "tired failed 1.0",
        "hung failed 1.0",
        "digest succeeded 1.0",
    }
    assert float(re.search(r'^celery_task_seconds_total\{.*hung",state="failed"\} (.*)$', page, re.M)[1]) >= 2
    assert 'name="shop.tasks.stored",state="failed"} 0.0' in page and 'name="digest",state="failed"} 0.0' in page
    last = re.search(
        r"\[4.0, [^,]+, 3e9, {'w': 3e9, 'x': 3e9, 'y': 3e9}\] "
        r"\[1, .*, (\d{10}\.\d+), {'development': \1}\] \[0, 0, 0, {}\]$".replace("3e9", str(3e9)),
        page,
        re.M,  # a log's line may follow: on a busy machine the broker answers late
    )
    assert last and ended - 120 < float(last[1]) < ended, "it failed then, not when that was stored: " + page


def test_a_malformed_dead_task_is_not_the_brokers_fault(jobs):
    """Messages that somebody else put into the queue are listed, sent again and dropped like the rest."""
    jobs.send(
        "with app.producer_or_acquire() as p:",
        "    for dead in ('x', {'at': 'x'}, {'at': 1e300, 'why': [], 'queue': ''}):",
        "        p.publish([[]], routing_key='celery.dead', exchange='', headers={'task': 7, 'dead': dead},"
        "                  declare=[deliveries.Queue('celery.dead')])",
    )
    *counts, said = jobs.dead("", "--again", "")
    assert counts == [3, 3, 0] and "-  -  7: []" in said, said
