"""The parts of the running site, as the home page shows them."""

from dataclasses import dataclass

from django.conf import settings
from django.db import connection

from slipway import readiness

ENV = "Does the server answer that {} in .env names?"
CURES = {  # part: what to type in development, and the sentence around it
    "database": ("", ENV.format("DATABASE_URL")),
    "migrations": ("make migrate", "to bring the database up to date."),
    "cache": ("", ENV.format("CACHE_URL")),
    "broker": ("", ENV.format("BROKER_URL")),
    "worker": ("make worker", "in another terminal."),
    "beat": ("make beat", "in another terminal."),
}
CURE_DEPLOYED = ("make logs", "in your checkout to see why.")
CACHES = {"LocMemCache": "Memory of each process", "RedisCache": "Redis"}
Ages = dict[str, float | None]
BROKERS = {"filesystem": "Files in var/broker", "memory": "Memory of this process", "redis": "Redis",
           "rediss": "Redis", "amqp": "RabbitMQ", "amqps": "RabbitMQ"}


@dataclass(frozen=True)
class Part:
    """`state` is "up", "down" or "off", `ms` how long it took to find out; where it is not up, `command` is what to
    type (or empty) and `cure` the sentence around it. Off is what one starts by hand in development, and has not."""
    name: str
    state: str
    ms: float
    about: str
    command: str = ""
    cure: str = ""


def parts() -> list[Part]:
    """Every part that /readyz?beat asks, in about 2 s at most, whatever hangs."""
    answers = readiness.ask(beat=True)
    database = answers.get("database")
    ages = heartbeats() if database and database["state"] == "ok" else {}
    return [part(name, state(name, answer["state"] == "ok", ages), answer["ms"], about(name, ages))
            for name, answer in answers.items()]


def heartbeats() -> Ages:
    """How many seconds ago worker and beat gave their last heartbeat; None where there never was any."""
    return readiness.value("heartbeats", "slipway.heartbeat.ages") or {}


def state(name: str, up: bool, ages: Ages) -> str:
    """Worker and beat of a developer's machine are no fault where they do not run."""
    return "up" if up else "off" if settings.DEBUG and name in ages else "down"


def part(name: str, state: str, ms: float, about: str) -> Part:
    """A Part, with its cure where it is not up."""
    if state == "up":
        return Part(name, state, ms, about)
    return Part(name, state, ms, about, *(CURES.get(name, ()) if settings.DEBUG else CURE_DEPLOYED))


def about(name: str, ages: Ages) -> str:
    """What there is to know of a part besides its state: a kind, never an address."""
    if name == "database":
        return connection.display_name
    if name == "cache":
        return kind(settings.CACHES["default"]["BACKEND"].rpartition(".")[2], CACHES)
    if name == "broker":
        return kind(settings.CELERY_BROKER_URL.partition(":")[0], BROKERS)
    return told(ages[name]) if name in ages else ""


def kind(name: str, names: dict[str, str]) -> str:
    """The word for a kind, itself where there is none."""
    return names.get(name, name)


def told(age: float | None) -> str:
    """The age of a heartbeat in words."""
    if age is None:
        return "No heartbeat yet"
    return f"Heartbeat {age:.0f} s ago" if age < 600 else f"Last heartbeat {age / 60:.0f} minutes ago"
