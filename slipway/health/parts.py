"""The parts of the site (database, cache, …) for the start page of a new project."""

from dataclasses import dataclass

from django.conf import settings
from django.db import connection

from .. import readiness

ENV = "Is the server of {} in .env running?"
CURES = {  # part → (command to type in development, or "" if none helps; the text after it)
    "database": ("", ENV.format("DATABASE_URL")),
    "migrations": ("make migrate", "to update the database."),
    "cache": ("", ENV.format("CACHE_URL")),
    "broker": ("", ENV.format("BROKER_URL")),
    "worker": ("make worker", "in another terminal."),
    "beat": ("make beat", "in another terminal."),
}
CURE_DEPLOYED = ("slipway logs", "in your checkout to see why.")
CACHES = {"LocMemCache": "Memory of each process", "RedisCache": "Redis"}
Ages = dict[str, float | None]
BROKERS = {
    "filesystem": "Files in var/broker",
    "memory": "Memory of this process",
    "redis": "Redis",
    "rediss": "Redis",
    "redis+socket": "Redis",
    "amqp": "RabbitMQ",
    "amqps": "RabbitMQ",
}


@dataclass(frozen=True)
class Part:
    """`state` is "up", "down" or, in development, "off" (no recent heartbeat). The check took `ms` milliseconds. If the
    part is not up, the page shows the `command` to type, if any, then the text `cure`."""

    name: str
    state: str
    ms: float
    about: str
    command: str = ""
    cure: str = ""


def parts() -> list[Part]:
    """Check all parts that /readyz?beat checks, and return them within about 2 s."""
    answers = readiness.ask(beat=True)
    ages: Ages = {}
    if "database" in answers and answers["database"]["state"] == "ok":
        ages = readiness.value("heartbeats", "slipway.health.heartbeat.ages") or {}
    return [part(name, answer, ages) for name, answer in answers.items()]


def part(name: str, answer: readiness.Answer, ages: Ages) -> Part:
    if answer["state"] == "ok":
        return Part(name, "up", answer["ms"], detail(name, ages))
    state = "off" if settings.DEBUG and name in ages else "down"
    cure = CURES.get(name, ()) if settings.DEBUG else CURE_DEPLOYED
    return Part(name, state, answer["ms"], detail(name, ages), *cure)


def detail(name: str, ages: Ages) -> str:
    if name == "database":
        return connection.display_name
    if name == "cache":
        backend: str = settings.CACHES["default"]["BACKEND"].rpartition(".")[2]
        return CACHES.get(backend, backend)
    if name == "broker":
        scheme: str = settings.CELERY_BROKER_URL.partition(":")[0]
        return BROKERS.get(scheme, scheme)
    return age_text(ages[name]) if name in ages else ""


def age_text(age: float | None) -> str:
    if age is None:
        return "No heartbeat yet"
    return f"Heartbeat {age:.0f} s ago" if age < 600 else f"Last heartbeat {age / 60:.0f} minutes ago"
