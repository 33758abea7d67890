"""A project's own values in /debug/vars."""

import json
from collections.abc import Callable
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from .. import readiness

_parts: dict[str, readiness.Part] = {}


def publish(name: str, function: Callable[[], object]) -> None:
    """Show what `function` returns as `name` in /debug/vars, as Go's expvar does. A second call replaces the first."""
    def plain() -> Any:
        return json.loads(json.dumps(function(), cls=DjangoJSONEncoder, allow_nan=False))
    _parts[name] = readiness.Part(f"{name} of /debug/vars", plain)


def published() -> dict[str, Any]:
    """Return {name: value}: None if its function fails, hangs or returns no JSON. Only the log has the error's text."""
    ended = readiness.finished(list(_parts.values()))
    return {name: None if error else attempt.outcome.result() for name, (error, attempt) in zip(_parts, ended.values())}
