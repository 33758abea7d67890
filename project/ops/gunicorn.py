"""gunicorn's settings: `python -m gunicorn -c python:project.ops.gunicorn`. What else it takes, it reads from here.

SOCKET: a unix socket to listen on, else PORT (8000). WEB_CONCURRENCY: worker processes. WEB_THREADS: requests that
each works on at a time (4).
"""

from __future__ import annotations

import itertools
import math
import os
import shutil
import sys
import tempfile
from collections.abc import MutableMapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from gunicorn import glogging
from prometheus_client.multiprocess import mark_process_dead

from . import probes, process
from .env import Env, SettingsError
from .request_id import HEADER

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter

    from .gunicorn_worker import Worker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
SHM = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # memory: a busy disk then stalls no worker


def cpus() -> int:
    """How many CPUs this container may use, at least 1: its limit (cgroup 2 or 1), else those of the machine."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for paths in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        try:
            quota, period = " ".join(Path("/sys/fs/cgroup", path).read_text() for path in paths).split()
            return max(1, min(here, math.ceil(int(quota) / int(period)))) if int(quota) > 0 else here
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return here


try:
    settings.INSTALLED_APPS  # all that is wrong with the settings is told before anything starts
    env = Env(os.environ)
    port = env.number("PORT", 8000)
    workers = env.number("WEB_CONCURRENCY", min(cpus() + 1, 9), least=1)
    threads = env.number("WEB_THREADS", 4, least=1)
    env.check()
except SettingsError as error:
    sys.exit(error.report())

wsgi_app = "project.wsgi"
over_socket = os.environ.get("SOCKET")
bind = [f"unix:{over_socket}" if over_socket else f"0.0.0.0:{port}"]
umask = 0o111  # of the socket alone: who may reach it is its folder's matter, so that nginx needs no common group
worker_class = "project.ops.gunicorn_worker.Worker"
worker_tmp_dir = SHM
timeout = 30
graceful_timeout = 25
# nginx opens a connection for each request: a worker takes no more than it can work on, so that none waits behind a
# slow one while another worker is free. Load balancers keep theirs for 60 s and take an earlier end for an error.
keepalive, worker_connections = (0, threads) if over_socket else (75, 1000)
max_requests = 10_000  # a slow leak ends with its worker
max_requests_jitter = 1_000
forwarder_headers = ""  # SCRIPT_NAME or PATH_INFO of a visitor's making would lead round nginx's rules
control_socket_disable = True
logconfig_dict = settings.LOGGING


class Logger(glogging.Logger):
    """The access log goes where all logs go, in the same form. A path is told without its query: it may hold secrets.
    Answered probes are left out: what changes is logged elsewhere."""

    def access(self, resp: Any, req: Any, environ: MutableMapping[str, Any], request_time: timedelta) -> None:
        """A line for each request, but for probes that were answered."""
        path, status = environ.get("PATH_INFO", "-"), int(str(resp.status).split()[0])
        if path in probes.PATHS and status in (200, 503):
            return
        method, ms = environ.get("REQUEST_METHOD", "-"), round(request_time.total_seconds() * 1000, 1)
        headers = {name.lower(): value for name, value in resp.headers}
        self.access_log.info("%s %s %d in %s ms", method, path, status, ms, extra={
            "request_id": headers.get(HEADER.lower(), "-"), "method": method, "path": path, "status": status, "ms": ms,
            "bytes": getattr(resp, "sent", 0), "remote": environ.get("REMOTE_ADDR", ""),
            "forwarded_for": environ.get("HTTP_X_FORWARDED_FOR", ""), "user_agent": environ.get("HTTP_USER_AGENT", "")})


logger_class = Logger

# ---- the workers' common figures: see metrics.py ----

_own_folder: str | None = None


def on_starting(server: Arbiter) -> None:
    """Before the first worker: an empty folder for their figures."""
    global _own_folder
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        _own_folder = tempfile.mkdtemp(prefix=f"metrics-{os.getpid()}-", dir=SHM)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = _own_folder
    folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.db"):
        file.unlink()


def on_exit(server: Arbiter) -> None:
    """After the last worker."""
    if _own_folder:
        shutil.rmtree(_own_folder, ignore_errors=True)


def pre_fork(server: Any, worker: Worker) -> None:
    """The lowest number that no living worker has."""
    taken = {other.number for other in server.WORKERS.values()}
    worker.number = next(str(number) for number in itertools.count(1) if str(number) not in taken)
    mark_process_dead(worker.number)


def post_fork(server: Arbiter, worker: Worker) -> None:
    """In the worker: which one it is."""
    process.worker = worker.number


def post_worker_init(worker: Worker) -> None:
    """Before its first request a worker asks the parts once: what that has to load it then has, and later answers
    are quick."""
    from . import metrics, readiness  # need the folder and Django's apps
    readiness.ask()
    metrics.PID.set(float(worker.pid))


def child_exit(server: Arbiter, worker: Worker) -> None:
    """However it ended: what it had in flight is no more."""
    mark_process_dead(worker.number)
