"""Tests of the image with Postgres, Redis and RabbitMQ: nothing accepted is lost, whatever is killed or restarted.

The containers share the machine's network, because the services listen only on the loopback. A team's app, shop/, is
mounted beside the project.
"""

import time

import pytest

from engine import docker
from load import Load, ask
from postgresql import new_postgres
from proc import free_port, output, wait_until
from services import emptied

HOST = "--network=host"
WAITS = "another beat is running"


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request):
    """Return the URL of each broker in turn, with empty queues."""
    server = request.getfixturevalue(request.param)
    return emptied(server.url(1) if request.param == "redis" else server.url())


@pytest.fixture
def start(run_container, shop):
    """Return start(command, …, env={}, mount=None), which runs the image with the shop in the machine's network."""

    def start(*command, env, mount=None):
        return run_container(*command, env=env, options=[HOST, *shop, *([f"--volume={mount}"] if mount else [])])

    return start


@pytest.fixture
def env(postgres, broker):
    return {
        "DATABASE_URL": postgres.url(postgres.database()),
        "BROKER_URL": broker,
        "WORKER_CONCURRENCY": "1",
        "DJANGO_SETTINGS_MODULE": "shop.settings",
    }


def site(start, probe="/healthz", **env):
    """Return (container, port) of a site that answers the probe with 200."""
    port = free_port()
    web = start(env={"DJANGO_SETTINGS_MODULE": "shop.settings", "PORT": str(port), **env})
    wait_until(lambda: ask(port, probe, 0, 10).outcome == "200", 60)
    return web, port


def send(container, *orders):
    """Queue orders, each (number, seconds), in that order, from a running container."""
    code = f"from shop.tasks import order\nfor number, seconds in {orders}: order.delay(number, seconds)"
    container.execute("python", "manage.py", "shell", "-c", code)


@pytest.fixture
def worker(start, env):
    """Return a ready worker."""
    worker = start("worker", env=env)
    worker.says("ready.")
    return worker


def test_task(start, env, worker):
    """A page queues a task in the broker, a worker does it, and both log the request's id."""
    web, port = site(start, **env)
    assert ask(port, "/queue?n=7", 0, 60).outcome == "200", web.logs()
    worker.says("order 7 ended")
    ids = [entry["request_id"] for entry in web.entries() if entry.get("path") == "/queue"]
    assert ids == [entry["request_id"] for entry in worker.entries() if entry["message"] == "order 7 ended"]


def test_killed_worker(start, env):
    """If a worker is killed with -9 during a task, another one repeats it; with Redis within its time limit plus a
    minute."""
    env = {**env, "TASK_TIME_LIMIT": "30"}
    first = start("worker", env=env)
    first.says("ready.")
    send(first, (1, 15))  # enough seconds to kill it meanwhile, even on a busy machine
    first.says("order 1 began")
    docker("kill", first.id)
    assert first.state()["ExitCode"] == 137 and "order 1 ended" not in first.logs()
    second = start("worker", env=env)
    second.says("order 1 ended", 300)


def test_stopped_worker(start, env, worker):
    """After TERM the worker finishes its task and exits with 0. The next worker does the others at once. Celery
    drops, and the broker requeues, a task whose begin the worker's main process does not know yet."""
    send(worker, (1, 12), (2, 0), (3, 0))  # TERM must come while the first one runs
    worker.says("an order was accepted")
    assert worker.stop() == 0
    assert "order 1 ended" in worker.logs() and "order 2 began" not in worker.logs()
    second = start("worker", env=env)
    second.says("order 3 ended", 120)
    assert "order 2 ended" in second.logs() and "order 1 began" not in second.logs()


def test_term_under_load(start, postgres):
    """After TERM, a site under load answers every request that it accepted, and exits with 0. Later requests are
    answered or refused, except perhaps one at the moment of closing."""
    web, port = site(start, DATABASE_URL=postgres.url(postgres.database()), WEB_CONCURRENCY="2")
    with Load(port, "/slow?n={n}&seconds=0.2", visitors=12, pause=0.01) as load:
        wait_until(lambda: len(load.asked) > 40)
        term = time.monotonic()
        docker("stop", "--time=30", web.id)
    assert web.state()["ExitCode"] == 0
    began = {int(entry["message"].split()[1]) for entry in web.entries() if entry["message"].startswith("began ")}
    assert not [
        asked for asked in load.asked if asked.outcome != "200" and (asked.number in began or asked.began < term)
    ]
    outcomes = load.outcomes()
    assert outcomes["200"] > 40 and outcomes["refused"] > 0
    assert outcomes["dropped"] <= 1 and outcomes.keys() <= {"200", "refused", "dropped"}, outcomes


def test_waiting_at_term(start, tmp_path):
    """On TERM, all requests that wait at the socket are answered, even those not accepted yet."""
    tmp_path.chmod(0o777)
    path = tmp_path / "web.sock"
    web = start(
        env={
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "SOCKET": "/run/site/web.sock",
            "WEB_CONCURRENCY": "1",
            "WEB_THREADS": "2",
        },
        mount=f"{tmp_path}:/run/site",
    )
    wait_until(lambda: ask(path, "/healthz", 0, 10).outcome == "200", 60)
    with Load(path, "/slow?n={n}&seconds=0.5", visitors=12) as load:
        web.says("began ")
        load.stopped.set()
        assert web.stop() == 0
    assert set(load.outcomes()) == {"200"} and len(load.asked) >= 12, [asked.error for asked in load.asked]


def readyz(port):
    return ask(port, "/readyz", 0, 30).outcome


def test_postgres_restarts(start):
    """While Postgres restarts under load, /readyz answers 503 and pages answer with an error. Then /readyz answers 200,
    and the site recovers by itself."""
    with new_postgres() as postgres:
        web, port = site(start, "/readyz", DATABASE_URL=postgres.url(postgres.database()), WEB_CONCURRENCY="2")
        with Load(port, "/users", pause=0.02) as load:
            wait_until(lambda: load.outcomes()["200"] > 20)
            postgres.stop()
            wait_until(lambda: readyz(port) == "503")
            wait_until(lambda: load.outcomes()["500"] > 5)
            postgres.start()
            wait_until(lambda: readyz(port) == "200")
            back = time.monotonic()
            wait_until(lambda: sum(asked.began > back for asked in list(load.asked)) > 40)
        assert load.outcomes().keys() == {"200", "500"}, load.outcomes()
        late = [asked for asked in load.asked if asked.began > back + 1]
        assert {asked.outcome for asked in late} <= {"200"}
        assert web.state()["Running"] and not [entry for entry in web.entries() if entry["level"] == "CRITICAL"]


def query(postgres, url, sql):
    """Return the one value that the query selects."""
    words = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--command", sql, url]
    return output([postgres.bin / "psql", *words]).strip()


def test_one_beat(run_container, postgres, redis):
    """A second beat waits while the first works, and takes over when that exits. A waiting beat exits on TERM. A beat
    whose connection is cut loses the lock, and at the end only one works."""
    env = {"DATABASE_URL": postgres.url(postgres.database()), "BROKER_URL": redis.url(), "PYTHONUNBUFFERED": "1"}

    def beat(message):
        container = run_container("beat", options=[HOST], env=env)
        container.says(message)
        return container

    first, second, third = beat("Schedule changed"), beat(WAITS), beat(WAITS)
    assert "Schedule changed" not in second.logs()
    assert third.stop() == first.stop() == 0
    second.says("Schedule changed")
    third = beat(WAITS)
    query(postgres, env["DATABASE_URL"], "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    wait_until(lambda: "Schedule changed" in third.logs() or second.logs().count("Schedule changed") > 1, 60)
    holders = query(postgres, env["DATABASE_URL"], "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    assert holders == "1"
