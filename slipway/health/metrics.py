"""Metrics of requests, summed over gunicorn's workers, for /metrics and /debug/vars.

Each worker counts in its own files in the folder PROMETHEUS_MULTIPROC_DIR (see gunicorn.py), and can read all files.
File names contain the worker's number, not its pid. So a new worker with the same number continues the counts.
"""

import os
import struct
import time
from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from .. import readiness
from ..logs import output
from ..release import RELEASE
from . import process
from . import variables as own

FOLDER = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
values.ValueClass = values.MultiProcessValue(lambda: process.worker) if FOLDER else values.MutexValue

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}  # others → "OTHER": visitors must not add series
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

REGISTRY = CollectorRegistry()
REQUESTS = Counter("http_requests", "Requests answered, by class of status.", ["status"], registry=REGISTRY)
DURATION = Histogram(
    "http_request_duration_seconds",
    "Time until the answer was ready to send.",
    ["method", "status"],
    buckets=SECONDS,
    registry=REGISTRY,
)
IN_FLIGHT = Gauge("http_requests_in_flight", "Requests in progress.", registry=REGISTRY, multiprocess_mode="livesum")
WEBSOCKETS = Gauge("websockets_open", "Open websockets.", registry=REGISTRY, multiprocess_mode="livesum")
LOST = Counter("log_lines_lost", "Log lines lost because Docker read too slowly.", registry=REGISTRY)
PID = Gauge("worker_pid", "Process id.", registry=REGISTRY, multiprocess_mode="liveall")

PARTS = {"worker": None, "beat": None, "waiting": None, "dead": None}
PATHS = {"heartbeats": "slipway.health.heartbeat.ages", "queues": "slipway.celery.queues"}
COUNTERS = (  # name, text, kind of counts, index of the value
    ("scheduled_runs", "Runs of commands by the clock.", "runs", 0),
    ("celery_tasks", "Tasks that ended, as workers count.", "tasks", 0),
    ("celery_task_seconds", "Seconds that they took.", "tasks", 1),
)

for _status in CLASSES:
    REQUESTS.labels(_status)  # creates the counter, with 0, before the first request
output.Output.observers.append(LOST.inc)


def observe(method: str | None, status: int, seconds: float) -> None:
    kind = f"{status // 100}xx"
    REQUESTS.labels(kind).inc()
    DURATION.labels(method if method in METHODS else "OTHER", kind).observe(seconds)


def families() -> list[Metric]:
    collector = MultiProcessCollector(None, FOLDER) if FOLDER else REGISTRY
    deadline = time.monotonic() + 1
    while True:
        try:
            return list(collector.collect())
        except (struct.error, FileNotFoundError):  # a worker is starting or exiting, and its file is incomplete
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def workers(metrics: Iterable[Metric]) -> dict[str, int]:
    """Return {worker number: pid} of the gunicorn workers that have started, from `metrics`."""
    if not FOLDER:
        return {process.worker: os.getpid()}
    return {
        sample.labels["pid"]: int(sample.value)
        for family in metrics
        if family.name == "worker_pid"
        for sample in family.samples
        if sample.value
    }


def gauge(name: str, text: str, label: str, values: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


class Page:
    """The metrics of all workers together, as Prometheus reads them."""

    def collect(self) -> Iterator[Metric]:
        metrics = families()
        yield from (family for family in metrics if family.name != "worker_pid")
        pids = workers(metrics)
        yield gauge(
            "process_resident_memory_bytes",
            "Memory that a worker uses.",
            "worker",
            {number: held for number, pid in pids.items() if (held := process.memory(pid))},
        )
        yield GaugeMetricFamily("workers", "Workers that have started.", value=len(pids))
        yield gauge("release_info", "The release that answers.", "release", {RELEASE: 1})
        yield GaugeMetricFamily("uptime_seconds", "Time since the server started.", value=process.uptime())
        yield gauge("published", "Numbers that the project publishes.", "name", dict(own.numbers(own.published())))
        yield from jobs()
        yield from counters()


def celery() -> dict[str, Any]:
    """Return {"worker": seconds since its last heartbeat, "beat": …, "waiting": {queue: number of tasks}, "dead":
    number of tasks that were given up}. Unknown values are None. Without Celery, return {}."""
    if not apps.is_installed("django_celery_beat"):
        return {}
    return {**PARTS, **{name: value for answer in readiness.values(PATHS) for name, value in (answer or {}).items()}}


def jobs() -> Iterator[Metric]:
    values = {name: value for name, value in celery().items() if value is not None}
    yield gauge(
        "celery_heartbeat_age_seconds",
        "Seconds since the last heartbeat.",
        "part",
        {part: values[part] for part in values.keys() & {"worker", "beat"}},
    )
    yield gauge("celery_tasks_waiting", "Tasks that no worker has taken yet.", "queue", values.get("waiting", {}))
    if "dead" in values:
        yield GaugeMetricFamily("celery_tasks_dead", "Dead tasks: see manage.py dead_tasks.", value=values["dead"])


def counts() -> dict[str, dict[str, list[Any]]]:
    return readiness.value("counts", "slipway.health.counts.stored") or {}


def counters() -> Iterator[Metric]:
    totals = counts()
    for name, text, kind, index in COUNTERS:
        family = CounterMetricFamily(name, text, labels=["name", "state"])
        for key, both in totals.get(kind, {}).items():
            family.add_metric(key.rsplit(" ", 1), both[index])
        yield family


def page() -> bytes:
    return generate_latest(Page())


def variables() -> dict[str, Any]:
    """Return the values for /debug/vars. Memory is in bytes, summed over gunicorn's workers."""
    metrics = families()
    samples = [sample for family in metrics for sample in family.samples]
    return {
        **own.published(),
        "memstats": {"Alloc": sum(map(process.memory, workers(metrics).values()))},
        "uptime": round(process.uptime(), 1),
        "release": RELEASE,
        "requests": {
            sample.labels["status"]: int(sample.value) for sample in samples if sample.name == "http_requests_total"
        },
        "in_flight": int(sum(sample.value for sample in samples if sample.name == "http_requests_in_flight")),
        "workers": len(workers(metrics)),
        "celery": celery(),
        "counts": counts(),
    }
