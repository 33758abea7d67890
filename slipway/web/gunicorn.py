"""gunicorn's settings: `python -m gunicorn --config python:slipway.web.gunicorn`.

docs/image.md lists the environment variables that this module reads.
"""

from __future__ import annotations

import atexit
import gc
import itertools
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import MutableMapping
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from django.conf import settings
from gunicorn import glogging
from prometheus_client.multiprocess import mark_process_dead

from ..env import Env, SettingsError, load_settings
from ..health import process
from ..health.probes import log_request
from ..logs import raised
from ..logs.errors import with_error_handlers
from ..logs.request_id import HEADER, current
from ..schema import web_plan
from . import capacity, forking

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter

    from .asgi_worker import Worker as AsgiWorker
    from .gunicorn_worker import Worker as WsgiWorker

    Worker = AsgiWorker | WsgiWorker

# TERM ends a container's first process only if it has a handler. gunicorn sets its own only after loading the project.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
_status: int | None = None  # the exit code, once gunicorn has set it


def leave() -> None:
    """Once `_status` is set, exit without Python's cleanup, which takes half a second of CPU."""
    if _status is not None:
        sys.stdout.flush()
        os._exit(_status)


gc.disable()  # until the first fork: what loading makes is no garbage, and to look for some takes a sixth of its time
atexit.register(leave)  # registered first, so called last: by then threads have ended and logs are written
SHM = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # memory: a busy disk cannot block workers

load_settings()
env = Env(os.environ)
port = env.number("PORT", 8000)
preload_app = env.flag("WEB_PRELOAD", True)  # load the project once; workers are forks and share its memory
enough = capacity.workers(capacity.cpus(), capacity.memory(), bool(preload_app))
workers = env.number("WEB_CONCURRENCY", enough, least=1)
threads = env.number("WEB_THREADS", 4, least=1)
env.number("DRAIN", 0)  # docker-run.sh uses it: report a wrong value here
asgi = getattr(settings, "SERVER", "wsgi") == "asgi"
if asgi and not find_spec("uvicorn"):
    env.problem("SERVER is asgi: uv add uvicorn (and websockets, if used), then make")
env.check()

wsgi_app = "slipway.web.gunicorn:load()"
over_socket = os.environ.get("SOCKET")
bind = [f"unix:{over_socket}" if over_socket else f"0.0.0.0:{port}"]
umask = 0o111  # any user may use the socket, but its folder limits access: nginx's user need not be in the app's group
worker_class = f"slipway.web.{'asgi_worker' if asgi else 'gunicorn_worker'}.Worker"
worker_tmp_dir = SHM
graceful_timeout = 25
# nginx opens a connection per request: a worker accepts only as many as it has threads, so that no request waits while
# another worker is free. Load balancers reuse connections for 60 s, and report an error if we close them first.
keepalive, worker_connections = (0, threads) if over_socket else (75, 1000)
max_requests = 10_000  # limits slow memory leaks
max_requests_jitter = max_requests // 2  # so that workers do not restart at the same time
limit_request_line = 8190  # as much as nginx takes
forwarder_headers = ""  # visitors must not set SCRIPT_NAME or PATH_INFO: they could bypass nginx's rules
control_socket_disable = True
# gunicorn has values for what a LOGGING lacks; some of them name handlers that this LOGGING does not have.
logconfig_dict = with_error_handlers(settings.LOGGING)


class Logger(glogging.Logger):
    """gunicorn's logger, which writes the access log in the site's form, and what a stream raises in any case."""

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        raised.write_server_error("gunicorn.error", str(msg), *(str(word).partition("?")[0] for word in args))
        super().exception(msg, *args, **kwargs)

    def access(self, resp: Any, req: Any, environ: MutableMapping[str, Any], request_time: timedelta) -> None:
        headers = {name.lower(): value for name, value in resp.headers}
        log_request(
            environ.get("REQUEST_METHOD", "-"),
            environ.get("PATH_INFO", "-"),
            int(str(resp.status).split()[0]),
            request_time.total_seconds(),
            request_id=headers.get(HEADER.lower()) or current() or "-",
            bytes=getattr(resp, "sent", 0),
            remote=environ.get("REMOTE_ADDR", ""),
            forwarded_for=environ.get("HTTP_X_FORWARDED_FOR", ""),
            user_agent=environ.get("HTTP_USER_AGENT", ""),
        )


logger_class = Logger


def remove(folder: str, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


# The folder for metrics must exist before the project is loaded.
os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=f"metrics-{os.getpid()}-", dir=SHM)
atexit.register(remove, os.environ["PROMETHEUS_MULTIPROC_DIR"], os.getpid())


# gunicorn calls these hooks in this order, but child_exit after worker_exit and, without preload, load after post_fork.
def load() -> Any:
    """Return the WSGI or ASGI application. After an error, exit. A worker exits with 3, and gunicorn starts no more."""
    try:
        served = import_module("slipway.web.asgi_served" if asgi else "slipway.wsgi")
        if preload_app:
            forking.warm_up()
    except Exception as error:  # gunicorn would print it outside the log, sometimes without a line number
        if preload_app and isinstance(error, SettingsError):
            error.leave()
        logging.getLogger("gunicorn.error").exception("the project cannot be loaded")
        sys.exit(3)
    return served.application


def on_starting(server: Arbiter) -> None:
    web_plan.begin(over_socket)
    os.register_at_fork(after_in_parent=forking.take_signals)


def pre_fork(server: Any, worker: Worker) -> None:
    """Give the worker the lowest free number: it writes its metrics under this number."""
    taken = {other.number for other in server.WORKERS.values()}
    worker.number = next(str(number) for number in itertools.count(1) if str(number) not in taken)
    if preload_app:
        forking.close_connections()
    forking.freeze()
    signal.pthread_sigmask(signal.SIG_BLOCK, forking.ENDS)  # until take_signals


def post_fork(server: Arbiter, worker: Worker) -> None:
    process.worker = worker.number


def post_worker_init(worker: Worker) -> None:
    """Run the readiness checks once before the first request: later runs are quick. Worker 1 writes web.plan."""
    forking.take_signals()
    from .. import readiness  # not at the top: both need Django's apps and the metrics folder
    from ..health import metrics

    readiness.ask()
    if worker.number == "1":
        web_plan.write_content(over_socket)
    metrics.PID.set(float(worker.pid))


def child_exit(server: Arbiter, worker: Worker) -> None:
    """Remove a dead worker's values, such as requests in progress, from the metrics."""
    mark_process_dead(worker.number)


def worker_exit(server: Arbiter, worker: Worker) -> None:
    global _status  # noqa: PLW0603  gunicorn's hooks have no other place
    _status = getattr(sys.exc_info()[1], "code", 0)


def on_exit(server: Arbiter) -> None:
    global _status  # noqa: PLW0603  gunicorn's hooks have no other place
    _status = getattr(sys.exc_info()[1], "exit_status", 0)
