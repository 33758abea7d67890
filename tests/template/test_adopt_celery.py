"""Tests of an adopted project's own Celery app, with real processes and a broker."""

import os

from proc import passed, running, wait_until
from theirs import LAYERS, production

# An app of the project's own whose queues only it knows. Nothing but `celery -A` imports its module.
OWN_QUEUES = """
from celery import Celery
from kombu import Queue

app = Celery("shop", include=["shop.tasks"])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_queues = [Queue("high"), Queue("low")]
app.conf.task_routes = {"shop.*": {"queue": "low"}}
"""
# What each process must see of its app, in its first thread and in others: {"app": queue that a task goes to}.
SEEN = """
import threading
from celery import current_app, shared_task
from shop.tasks import pack
from slipway import celery
from slipway.health.metrics import celery as figures
def see():
    print(current_app.main, pack.app.amqp.router.route({}, pack.name)["queue"].name, celery.project_app().main)
see()
thread = threading.Thread(target=see)
thread.start()
thread.join()
print(sorted(celery.queues()["waiting"]), figures()["dead"], len(celery._state._apps))
"""


def test_its_own_app_stays_the_only_one(theirs, redis):
    """Each process sends tasks by the project's own app to its queues, from which its worker takes them; heartbeats,
    checks and the figures of queues are of these, too."""
    project = theirs({**LAYERS, "config/__init__.py": "", "config/celery.py": OWN_QUEUES})
    project.adopted("--level", "image")
    env = production(project, BROKER_URL=f"redis://localhost:{redis.port}/3", SHOP_BROKER="1")
    passed(project.manage("migrate", **env))
    done = passed(project.manage("shell", "-c", SEEN, **env))
    assert done.stdout.splitlines()[-3:] == ["shop low shop", "shop low shop", "['high', 'low'] 0 1"], done.stdout
    worker = {**project.env, **env, "PATH": f"{project.folder}/ve/bin:{os.environ['PATH']}", "PROJECT": "config"}
    with running(["sh", "docker-run.sh", "worker", "--pool", "solo"], cwd=project.folder, env=worker) as process:
        passed(project.manage("shell", "-c", "from shop.tasks import pack; pack.delay()", **env))
        wait_until(lambda: "Task shop.tasks.pack" in process.output(), what="the task has run")
        with running(["sh", "docker-run.sh", "beat"], cwd=project.folder, env=worker):
            wait_until(lambda: "Task slipway.tasks.heartbeat" in process.output(), what="the worker has a heartbeat")
            code = "from slipway.health import checks; checks.worker(); checks.beat(); print('both')"
            wait_until(lambda: "both" in project.manage("shell", "-c", code, **env).stdout, what="both are well")


# A thread that is there before the project's app is: for it Celery makes one that knows no broker, for all threads.
EARLY = (
    LAYERS["shop/models.py"]
    + """
import threading
from celery import current_app
thread = threading.Thread(target=lambda: current_app.main)
thread.start()
thread.join()
"""
)


def test_threads_that_were_there_before_it_send_by_it(theirs, redis):
    project = theirs({**LAYERS, "config/__init__.py": "", "config/celery.py": OWN_QUEUES, "shop/models.py": EARLY})
    project.adopted("--level", "image")
    env = production(project, BROKER_URL=f"redis://localhost:{redis.port}/4", SHOP_BROKER="1")
    done = passed(project.manage("shell", "-c", SEEN, **env))
    assert done.stdout.splitlines()[-3:] == ["shop low shop", "shop low shop", "['high', 'low'] 0 2"], done.stdout
