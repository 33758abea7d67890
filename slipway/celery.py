"""Slipway's Celery app, `app`, for projects that have none of their own; and the broker of whichever app a project has.

A project also runs without Celery: only this module, tasks.py, the folder jobs and the command dead_tasks need it.

In development the default broker is the folder var/broker. A worker deletes each message there on receipt: if the
worker is killed, its tasks are lost.
"""

import contextlib
import functools
import logging
import sys
import time
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from celery import Celery, _state, signals
from celery.app.utils import find_app
from django.conf import settings
from django.core.management import CommandError
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.transport import filesystem
from kombu.utils.json import dumps

from .env import load_settings
from .jobs import deliveries
from .lasting import LockedOpen
from .lasting.files import move, write_beside
from .logs import request_id
from .schema.database import prepare

STAND_IN = "default"  # name of the app that Celery makes if a task is sent before any other app is made

load_settings()
app: Celery  # see __getattr__


def __getattr__(name: str) -> Celery:
    """Make `app` when it is first asked for: beside a project's own, which a new app would replace, there is none."""
    if name != "app":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    app = globals()["app"] = Celery("slipway", include=["slipway.tasks"], task_cls="slipway.jobs.task:Task")
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.worker_consumer = "slipway.jobs.worker:Consumer"
    if getattr(settings, "CELERY_BROKER_URL", "") == "filesystem://":
        app.conf.broker_transport = "slipway.celery:FilesTransport"
    app.autodiscover_tasks()
    return app


@functools.cache  # an error is not kept: the next call tries again
def project_app() -> Celery:
    """Return the project's Celery app, and let all threads send by it. Celery gives other threads than the one that
    made it the process's first app, such as the one that Celery makes if a task is looked at before."""
    app = found_app()
    app.set_default()
    return app


def found_app() -> Celery:
    """Return the app that `celery -A` finds, as for worker and beat. If the project names none, return the one that its
    code has made first, or else Slipway's. Raise what the module raises in which the app should be."""
    package = str(settings.SETTINGS_MODULE).partition(".")[0]
    try:
        found = find_app(package)
        if not isinstance(found, Celery):
            raise AttributeError(f"{package} has no Celery app")
    except (AttributeError, ImportError):
        if has_module(f"{package}.celery"):
            raise
        made: Celery | None = vars(_state)["default_app"]
        own: Celery = sys.modules[__name__].app if made is None or made.main == STAND_IN else made
        return own
    return found


def has_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # its package is none
        return False


def disconnect() -> None:
    """Close this process's broker connections; later calls open new ones."""
    with contextlib.suppress(Exception):  # without an app, there are none
        pool: Any = project_app().pool  # celery-types names another class
        pool.resize(pool.limit, reset=True)


def check_broker() -> None:
    """Raise ConnectionError if the broker does not answer."""
    with ask_broker():
        pass


@contextlib.contextmanager
def ask_broker() -> Iterator[Connection]:
    """Yield a broker connection (connect timeout: 1 s). Raise ConnectionError if the broker fails, also later."""
    limits = {}
    app = project_app()
    if str(app.conf.broker_url).startswith("redis"):
        limits = {"socket_connect_timeout": 1, "socket_timeout": 1}
    faults: tuple[type[BaseException], ...] = (ValueError,)  # of a malformed URL: it may quote the password
    try:
        with app.connection_for_write(connect_timeout=1, transport_options=limits) as connection:
            faults = OSError, OperationalError, *connection.connection_errors, *connection.channel_errors
            connection.ensure_connection(max_retries=0)
            yield connection
    except faults as error:
        raise ConnectionError(f"the broker does not answer: {type(error).__name__}") from None


def queues() -> dict[str, Any]:
    """Return {"waiting": {queue: number of messages}, "dead": number of tasks that were given up}."""
    app = project_app()
    if app.conf.task_always_eager:  # eager tasks need no queue
        return {"waiting": {}, "dead": 0}
    with ask_broker() as connection:
        return {
            "waiting": {name: length(connection, name) for name in app.amqp.queues.consume_from},
            "dead": length(connection, deliveries.DEAD),
        }


def length(connection: Connection, queue: str) -> int:
    try:
        with connection.channel() as channel:
            count: int = channel.queue_declare(queue, passive=True).message_count  # type: ignore[attr-defined]
            return count
    except connection.channel_errors:  # the queue does not exist yet
        return 0


class FilesChannel(filesystem.Channel):
    """A kombu channel that writes each message file as a whole: of kombu's own a process could read half, and crash."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for folder in (Path(self.data_folder_out), self.control_folder):
            folder.mkdir(parents=True, exist_ok=True)

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        name = f"{time.time_ns()}_{uuid.uuid4()}.{queue}.msg"
        new = write_beside(self.control_folder / name, dumps(payload))  # kombu before 5.7 also takes NAME.new
        move(new, Path(self.data_folder_out, name))

    def get_table(self, exchange: str) -> Any:
        with LockedOpen(self.control_folder / "lock", "a"):
            return super().get_table(exchange)

    def _queue_bind(self, *args: Any) -> None:
        with LockedOpen(self.control_folder / "lock", "a"):
            super()._queue_bind(*args)


class FilesTransport(filesystem.Transport):
    """The broker of development: a folder."""

    Channel = FilesChannel
    default_connection_params = {}  # otherwise kombu warns that the URL has no host
    polling_interval = 0.2  # seconds

    def drain_events(self, connection: Any, timeout: float | None = None, **kwargs: Any) -> None:
        """Return to the worker's loop after each look. The worker asks for 2 s, and asks twice before it stops."""
        super().drain_events(connection, timeout and min(timeout, self.polling_interval), **kwargs)


@signals.setup_logging.connect
def keep_logging(**_: Any) -> None:
    """Keep Django's logging setup: without this receiver Celery would replace it."""
    logging.captureWarnings(True)


@signals.before_task_publish.connect
def send_request_id(headers: dict[str, Any], **_: Any) -> None:
    if request_id.current():
        headers.setdefault("request_id", request_id.current())


@signals.task_prerun.connect
def take_request_id(task_id: str, task: Any, **_: Any) -> None:
    """Put an id into the task's log lines: the id of the request that sent the task, else the task's id."""
    if not task.request.is_eager:
        request_id.start(getattr(task.request, "request_id", None) or task_id)


@signals.celeryd_init.connect
def prepare_database(**_: Any) -> None:
    """Prepare the development database when a worker or beat starts. If that fails, exit with a one-line error."""
    if hasattr(settings, "OWN_DATABASE"):
        try:
            prepare()
        except CommandError as error:
            sys.exit(f"celery: {error}")
