"""gunicorn's settings, for `python -m gunicorn --config python:slipway.web.gunicorn`.

SOCKET: a unix socket to listen on, else PORT (8000). WEB_CONCURRENCY: worker processes. WEB_THREADS: requests that
each works on at a time (4). WEB_PRELOAD: false where each worker has to load the project for itself. DRAIN: seconds
for which it goes on after TERM (0).
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import MutableMapping
from datetime import timedelta
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from django.conf import settings
from gunicorn import glogging
from prometheus_client.multiprocess import mark_process_dead

from ..env import Env, SettingsError
from ..health import process
from ..health.probes import answered
from ..logs.request_id import HEADER
from ..schema import web_plan
from . import capacity, forking

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter

    from .asgi_worker import Worker as AsgiWorker
    from .gunicorn_worker import Worker as WsgiWorker
    Worker = AsgiWorker | WsgiWorker

# As a container's first process it would get no TERM before gunicorn's own handlers take over, when all is loaded.
if "gunicorn.app.wsgiapp" in sys.modules and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
_status: int | None = None  # by which this process ends, once gunicorn has told


def leave() -> None:
    """End at once: Python would free piece by piece what the kernel frees at once: half a second of CPU a process."""
    if _status is not None:
        sys.stdout.flush()
        os._exit(_status)


atexit.register(leave)  # the first one registered is called last, after threads have ended and logs are written
SHM = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # memory: a busy disk then stalls no worker

try:
    settings.INSTALLED_APPS  # all that is wrong with the settings is told before anything starts
    env = Env(os.environ)
    port = env.number("PORT", 8000)
    preload_app = env.flag("WEB_PRELOAD", True)  # loaded once, and shared by the workers, which are forks
    enough = capacity.workers(capacity.cpus(), capacity.memory(), bool(preload_app))
    workers = env.number("WEB_CONCURRENCY", enough, least=1)
    threads = env.number("WEB_THREADS", 4, least=1)
    drain = env.number("DRAIN", 0)
    asgi = getattr(settings, "SERVER", "wsgi") == "asgi"
    if asgi and not find_spec("uvicorn"):
        env.problem("SERVER is asgi, which needs uvicorn, and websockets for these: add them to requirements.in, then"
                    " make requirements")
    env.check()
except SettingsError as error:
    error.leave()
except Exception:  # of this gunicorn would tell neither file nor line
    traceback.print_exc()
    sys.exit(1)

wsgi_app = "slipway.web.gunicorn:load()"
over_socket = os.environ.get("SOCKET")
slot = over_socket if over_socket and os.path.isabs(over_socket) else None  # a server's: /run/APP/SLOT/web.sock
bind = [f"unix:{over_socket}" if over_socket else f"0.0.0.0:{port}"]
umask = 0o111  # of the socket alone: who may reach it is its folder's matter, so that nginx needs no common group
worker_class = f"slipway.web.{'asgi_worker' if asgi else 'gunicorn_worker'}.Worker"
worker_tmp_dir = SHM
timeout = 30
graceful_timeout = 25
# nginx opens a connection for each request: a worker takes no more than it can work on, so that none waits behind a
# slow one while another worker is free. Load balancers keep theirs for 60 s and take an earlier end for an error.
keepalive, worker_connections = (0, threads) if over_socket else (75, 1000)
max_requests = 10_000  # a slow leak ends with its worker
max_requests_jitter = max_requests // 2  # not all at once
forwarder_headers = ""  # SCRIPT_NAME or PATH_INFO of a visitor's making would lead round nginx's rules
control_socket_disable = True
logconfig_dict = settings.LOGGING


class Logger(glogging.Logger):
    """The access log goes where all logs go, in the same form."""

    def access(self, resp: Any, req: Any, environ: MutableMapping[str, Any], request_time: timedelta) -> None:
        """A line for each request."""
        headers = {name.lower(): value for name, value in resp.headers}
        answered(environ.get("REQUEST_METHOD", "-"), environ.get("PATH_INFO", "-"), int(str(resp.status).split()[0]),
                 request_time.total_seconds(), request_id=headers.get(HEADER.lower(), "-"),
                 bytes=getattr(resp, "sent", 0), remote=environ.get("REMOTE_ADDR", ""),
                 forwarded_for=environ.get("HTTP_X_FORWARDED_FOR", ""), user_agent=environ.get("HTTP_USER_AGENT", ""))


logger_class = Logger


@cache
def make_folder() -> None:
    """A folder for the workers' figures, once: before the project is loaded, which looks for it. See metrics.py."""
    folder = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=f"metrics-{os.getpid()}-", dir=SHM)
    atexit.register(remove, folder, os.getpid())


def remove(folder: str, pid: int) -> None:
    """After the last worker. A worker ends by its own way through here."""
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


# From here to a worker's first request in this order; without preloading `load` comes after post_fork.
def load() -> Any:
    """What is served. Of a worker's ends gunicorn takes 3 for the site's own, and starts no other worker after it."""
    make_folder()
    try:
        served = import_module("slipway.web.asgi_served" if asgi else "slipway.wsgi")
        if preload_app:
            forking.warm_up()
    except Exception as error:  # gunicorn would tell it past the log, some errors without where
        if preload_app and isinstance(error, SettingsError):
            error.leave()
        logging.getLogger("gunicorn.error").exception("the project cannot be loaded")
        sys.exit(3)
    return served.application


def on_starting(server: Arbiter) -> None:
    make_folder()
    web_plan.begin(slot)
    forking.hold_signals()
    if drain:
        put_off_end(server, drain)


def put_off_end(server: Arbiter, seconds: int) -> None:
    """Have a TERM end the server only after so many seconds, and a second one at once. It looks its handlers up by
    their names; INT and QUIT keep theirs. Workers hear of nothing before, and one that dies meanwhile is replaced."""
    end = server.handle_term

    def begin() -> None:
        """The first TERM. The alarm needs no thread, which workers could not be forked beside."""
        setattr(server, "handle_term", end)
        setattr(server, "handle_alrm", end)
        signal.signal(signal.SIGALRM, server.signal)
        signal.alarm(seconds)
        logging.getLogger("gunicorn.error").info("Going on for %d s, DRAIN, before the end", seconds)

    setattr(server, "handle_term", begin)


def pre_fork(server: Any, worker: Worker) -> None:
    """The lowest number that no living worker has."""
    taken = {other.number for other in server.WORKERS.values()}
    worker.number = next(str(number) for number in itertools.count(1) if str(number) not in taken)
    mark_process_dead(worker.number)
    if preload_app:
        forking.let_go()


def post_fork(server: Arbiter, worker: Worker) -> None:
    """In the worker: which one it is."""
    process.worker = worker.number


def post_worker_init(worker: Worker) -> None:
    """Before its first request a worker asks the parts once: what that has to load it then has, and later answers
    are quick. One of them also tells of the migrations."""
    forking.take_signals()
    from .. import readiness  # this and metrics need the folder and Django's apps
    from ..health import metrics
    readiness.ask()
    if worker.number == "1":
        web_plan.tell(slot)
    metrics.PID.set(float(worker.pid))


def child_exit(server: Arbiter, worker: Worker) -> None:
    """However it ended: what it had in flight is no more."""
    mark_process_dead(worker.number)


def worker_exit(server: Arbiter, worker: Worker) -> None:
    """In the worker, at its end, which it has decided upon."""
    global _status
    if os.getpid() != server.pid:
        _status = getattr(sys.exc_info()[1], "code", 0)


def on_exit(server: Arbiter) -> None:
    """The same in the master, after all workers."""
    global _status
    _status = getattr(sys.exc_info()[1], "exit_status", 0)
