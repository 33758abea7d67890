"""From JSON to lines of carbon's plaintext protocol. No I/O."""

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from .config import Endpoint

LONGEST = 255  # characters of a name: a part of it is a file's
UNFIT = re.compile(r"[^A-Za-z0-9_.\-%:#]|^\.|\.(?=\.|$)")  # in a metric's name; dots only between its parts


def numbers(value: object, name: str = "") -> Iterator[tuple[str, float]]:
    """(name, number) of all numbers in JSON's value; names of nested keys are joined by dots, entries are numbered."""
    if len(name) > LONGEST:
        return
    if isinstance(value, int | float):
        yield name, value + 0  # true is 1
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(inner, f"{name}.{key}" if name else str(key))


def named(found: Iterable[tuple[str, float]], endpoint: Endpoint) -> Iterator[tuple[str, float]]:
    """What of it is to be sent, under the names that it shall have."""
    for name, number in found:
        if abs(number) < 1e300 and not any(fnmatchcase(name, pattern) for pattern in endpoint.ignore):
            yield f"{endpoint.prefix}.{endpoint.rename.get(name) or UNFIT.sub('_', name) or '_'}", number


def line(name: str, number: float, second: int) -> bytes:
    return f"{name} {number!r} {second}\n".encode()
