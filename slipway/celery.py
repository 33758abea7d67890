"""Celery: the app that `celery -A project` finds, and what of it the rest of the project may ask.

Nothing but this file, tasks.py and what they alone import needs Celery: without its pins a project runs as
before.

Development's broker is a folder of files, var/broker, so that no service is needed. A message leaves the folder when
a worker takes it, so a worker that is killed loses the task in hand. Production has a real broker.
"""

import contextlib
import logging
import os
import sys
import time
import traceback
import uuid
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import kombu.pools
import kombu.transport
from celery import Celery, signals
from django.conf import settings
from django.core.management import CommandError
from kombu import Connection
from kombu.transport import filesystem
from kombu.utils.json import dumps

from .env import SettingsError
from .jobs import deliveries
from .lasting import LockedOpen, write_replace
from .logs import request_id
from .schema.database import prepare

logger = logging.getLogger(__name__)

try:
    settings.INSTALLED_APPS
except SettingsError as error:  # celery's own command would show a traceback
    error.leave()
except Exception:  # of some of them it would tell neither file nor line
    traceback.print_exc()
    sys.exit(1)

app = Celery("slipway", include=["slipway.tasks"], task_cls="slipway.jobs.task:Task")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.worker_consumer = "slipway.jobs.worker:Consumer"
app.autodiscover_tasks()


def load_transport() -> None:
    """Import what talks to the broker, without a connection."""
    app.amqp  # is made when it is first asked for
    app.connection_for_write().get_transport_cls()


def disconnect() -> None:
    """Close the connections to the broker that this process keeps. Who needs one makes it anew."""
    kombu.pools.reset()
    app._after_fork()  # type: ignore[attr-defined]  # it forgets its pools


def check_broker() -> None:
    """Raise ConnectionError where the broker is away: asked over a connection of its own, within 1.5 s, no retry.

    The error names only the kind of trouble, as the broker's URL holds a password.
    """
    with ask_broker():
        pass


@contextlib.contextmanager
def ask_broker() -> Iterator[Connection]:
    """A connection to the broker, within limits. Raises ConnectionError."""
    limits = {}
    if app.conf.broker_url.startswith("redis"):
        limits = {"socket_connect_timeout": 1, "socket_timeout": 1}
    try:
        with app.connection_for_write(connect_timeout=1, transport_options=limits) as connection:
            connection.ensure_connection(max_retries=0)
            yield connection
    except Exception as error:
        raise ConnectionError(f"the broker does not answer: {type(error).__name__}") from None


def queues() -> dict[str, Any]:
    """{"waiting": {queue: messages}, "dead": messages that were given up}, asked as check_broker does."""
    if app.conf.task_always_eager:  # there is none
        return {"waiting": {}, "dead": 0}
    with ask_broker() as connection:
        return {"waiting": {name: length(connection, name) for name in app.amqp.queues.consume_from},
                "dead": length(connection, deliveries.DEAD)}


def length(connection: Connection, queue: str) -> int:
    try:
        with connection.channel() as channel:
            count: int = channel.queue_declare(queue, passive=True).message_count  # type: ignore[attr-defined]
            return count
    except connection.channel_errors:  # no message was ever sent there
        return 0


class FilesChannel(filesystem.Channel):
    """kombu writes a message in place and a routing table after it is visible: whoever reads in between finds half
    of it and ends. Here a message is renamed into place, and tables are read and written under a lock."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for folder in (Path(self.data_folder_out), self.control_folder):
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(f"{folder} is not yours to write")

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        message = Path(self.data_folder_out, f"{time.time_ns()}_{uuid.uuid4()}.{queue}.msg")
        write_replace(message, dumps(payload))

    def get_table(self, exchange: str) -> Any:
        with LockedOpen(self.control_folder / "lock", "a"):
            return super().get_table(exchange)

    def _queue_bind(self, *args: Any) -> None:
        with LockedOpen(self.control_folder / "lock", "a"):
            super()._queue_bind(*args)

    def _delete(self, *args: Any, **kwargs: Any) -> None:
        with LockedOpen(self.control_folder / "lock", "a"):
            super()._delete(*args, **kwargs)


class FilesTransport(filesystem.Transport):
    """kombu's, with such channels."""

    Channel = FilesChannel
    default_connection_params = {}  # there is no host to warn of as missing
    polling_interval = 0.2  # seconds

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:  # type: ignore[override]
        """The worker waits two turns of 2 s before it heeds a TERM: too near the 5 s that make dev gives it."""
        return super().drain_events(connection, timeout=min(timeout or 0.5, 0.5))


kombu.transport.TRANSPORT_ALIASES["filesystem"] = "slipway.celery:FilesTransport"


@signals.setup_logging.connect
def keep_logging(**_: Any) -> None:
    """Celery then leaves logging as Django's LOGGING set it up. Python's warnings go there, too."""
    logging.captureWarnings(True)


@signals.celeryd_init.connect
def log_what_is_said(**_: Any) -> None:
    """A worker that is told to end writes a line of its own past the log: here it is one of the log's."""
    setattr(import_module("celery.apps.worker"), "safe_say", lambda text, *_: logger.info(text))


@signals.before_task_publish.connect
def send_request_id(headers: dict[str, Any], **_: Any) -> None:
    """A task takes the request's id along."""
    if request_id.current():
        headers.setdefault("request_id", request_id.current())


@signals.task_prerun.connect
def take_request_id(task_id: str, task: Any, **_: Any) -> None:
    """A task that no request set off goes by its own id."""
    if not task.request.is_eager:
        request_id.start(getattr(task.request, "request_id", None) or task_id)


@signals.task_postrun.connect
def drop_request_id(task: Any, **_: Any) -> None:
    if not task.request.is_eager:
        request_id.clear()


@signals.celeryd_init.connect
def prepare_database(**_: Any) -> None:
    """Before worker and beat use it; development only, as runserver does. Ends with a line where it cannot be used."""
    if hasattr(settings, "OWN_DATABASE"):
        try:
            prepare(lambda line: print(line, file=sys.stderr, flush=True))
        except CommandError as error:
            sys.exit(f"celery: {error}")
