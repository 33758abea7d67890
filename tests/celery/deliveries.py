"""A project with tasks that fail, and its workers."""

import re

from services import emptied

from .shop import FILES, add_shop

TASKS = """
import os, signal
from celery.concurrency.asynpool import AsynPool
from slipway.jobs import deliveries, worker

AsynPool.timers = property(lambda pool: {pool.maintain_pool: 0.1})  # seconds until a lost process is seen: 5 by default

deliveries.LIMIT = int(os.environ.get("LIMIT", deliveries.LIMIT))
worker.BACK = int(os.environ.get("BACK", worker.BACK))
if "SHORT" in os.environ:
    worker.BACK, worker.TRIES, deliveries.seconds_to_keep = 0.2, 3, lambda app: 1
log = logging.getLogger("shop").info

@shared_task
def order(number):
    log("order %s ended", number)

@shared_task
def secret(*args, **kwargs):
    return "s3cret"

@shared_task(bind=True, max_retries=0)
def tired(self, password):
    self.retry(countdown=0)

@shared_task
def poison(whom):
    log("poison began")
    os.kill(os.getppid() if whom == "worker" else os.getpid(), signal.SIGKILL)
    signal.pause()

@shared_task(bind=True, max_retries=0)
def stored(self, number):
    from django.contrib.sessions.models import Session
    Session.objects.create(session_key=f"{number} {self.request.retries}", expire_date="2040-01-01T00:00Z")
    log("stored %s", number)

@shared_task
def hung():
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # the soft time limit
    signal.pause()

@shared_task
def slow():
    from django.db import connection
    connection.cursor().execute("SET statement_timeout = '10ms'; SELECT pg_sleep(5)")

@shared_task(bind=True)
def later(self, seconds):
    log("later began")
    if not self.request.retries:
        raise self.retry(countdown=seconds)
    log("later ended")
"""


SETTINGS = """
from project.settings_docker import *
INSTALLED_APPS = [*INSTALLED_APPS, "shop"]
CELERY_WORKER_LOST_WAIT = 0.5  # seconds until a killed process counts as lost, 10 by default
"""


class Jobs:
    """A clone whose tasks go through a broker."""

    def __init__(self, clone):
        self.clone = clone

    def worker(self, **env):
        """Start a worker with production's settings, as the image's entrypoint does."""
        return self.clone.start(
            "python",
            "-m",
            "celery",
            "-A",
            "project",
            "--quiet",
            "worker",
            "--without-gossip",
            "--without-mingle",
            "--concurrency=2",
            **env,
        )

    def send(self, *calls):
        """Queue tasks, each by a call such as `order.delay(1)` or a line of code."""
        self.clone.ask(
            "-c",
            "\n".join(
                [
                    "import django",
                    "django.setup()",
                    "from shop.tasks import *",
                    "from slipway.celery import app",
                    *calls,
                ]
            ),
        )

    def dead(self, *options):
        """Run `manage.py dead_tasks` with each of these options. Return each number of dead tasks, and all output."""
        calls = "; ".join(f"call_command('dead_tasks', *{option.split()})" for option in options or [""])
        said = self.clone.ask(
            "manage.py", "shell", "-v0", "-c", f"from django.core.management import call_command; {calls}"
        )
        return *map(int, re.findall(r"^dead tasks: (\d+)$", said, re.MULTILINE)), said


def prepared(clone, url):
    add_shop(clone)
    (clone.path / "shop/tasks.py").write_text(FILES["shop/tasks.py"] + TASKS)
    (clone.path / "shop/settings.py").write_text(SETTINGS)
    clone.environment.update(
        SITE_URL="http://localhost",
        SECRET_KEY="0123456789abcdef" * 4,
        BROKER_URL=emptied(url),
        DATABASE_URL=f"sqlite:///{clone.path}/db.sqlite3",
        TASK_TIME_LIMIT="600",
    )
    return Jobs(clone)
