"""What Celery's worker, beat and broker are about, as figures."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from prometheus_client.core import GaugeMetricFamily, Metric

from .. import readiness

NAMES = {"worker": None, "beat": None, "waiting": None, "dead": None}
PATHS = {"heartbeats": "slipway.heartbeat.ages", "queues": "slipway.celery.queues"}


def celery() -> dict[str, Any]:
    """{"worker": seconds since its last heartbeat, "beat": …, "waiting": {queue: tasks}, "dead": tasks that were given
    up}; None where nobody could tell. Nothing in a project that does without Celery."""
    if not apps.is_installed("django_celery_beat"):
        return {}
    return {**NAMES, **{name: value for found in readiness.values(PATHS) for name, value in (found or {}).items()}}


def families() -> Iterator[Metric]:
    """The same for /metrics, less what nobody could tell."""
    found = {name: value for name, value in celery().items() if value is not None}
    ages = GaugeMetricFamily("celery_heartbeat_age_seconds", "Since the last heartbeat.", labels=["part"])
    for part in found.keys() & {"worker", "beat"}:
        ages.add_metric([part], found[part])
    waiting = GaugeMetricFamily("celery_tasks_waiting", "Tasks that no worker has taken yet.", labels=["queue"])
    for queue, count in found.get("waiting", {}).items():
        waiting.add_metric([queue], count)
    yield from (family for family in (ages, waiting) if family.samples)
    if "dead" in found:
        yield GaugeMetricFamily("celery_tasks_dead", "Tasks that were given up: manage.py dead_tasks.",
                                value=found["dead"])
