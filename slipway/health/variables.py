"""A project's own values in /debug/vars and /metrics."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from .. import readiness

BUILT_IN = {"memstats", "uptime", "release", "requests", "in_flight", "workers", "celery", "counts"}
_parts: dict[str, readiness.Part] = {}


class Encoder(DjangoJSONEncoder):
    """Django's JSON, with decimal numbers as numbers."""

    def default(self, o: object) -> object:
        return float(o) if isinstance(o, Decimal) else super().default(o)  # a text would be no metric


def publish(name: str, function: Callable[[], object]) -> None:
    """Show what `function` returns as `name` in /debug/vars, as Go's expvar does, and its numbers in /metrics. A second
    call replaces the first."""
    if name in BUILT_IN:
        raise ValueError(f'publish("{name}"): /debug/vars has its own value of this name: choose another')

    def plain() -> Any:
        return json.loads(json.dumps(function(), cls=Encoder, allow_nan=False))

    _parts[name] = readiness.Part(f"{name} of /debug/vars", plain)


def published() -> dict[str, Any]:
    """Return {name: value}: None if its function fails, hangs or returns no JSON. Only the log has the error's text."""
    ended = readiness.await_checks(list(_parts.values()))
    return {
        name: None if error else attempt.outcome.result()
        for name, (error, attempt) in zip(_parts, ended.values(), strict=False)
    }


def numbers(value: object, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield (name, number) for the numbers in JSON. The name joins keys and list indexes by dots: a.0.b."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, int | float) and abs(value) < 1e300:  # above, there is no float for all
        yield name, value
