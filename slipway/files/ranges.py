"""What part of a file a request is for (RFC 9110, 14). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

RANGE = re.compile(r"bytes=\s*(\d*)-(\d*)\s*", re.ASCII | re.IGNORECASE)


class Unsatisfiable(Exception):
    """There is no such part."""


def part(headers: Mapping[str, str], size: int, etag: str) -> tuple[int, int] | None:
    """[first, after the last) of the bytes; None for all of them: nothing else was asked for, or several parts, or
    part of a file as it was. Raises Unsatisfiable."""
    match = RANGE.fullmatch(headers.get("Range", ""))
    if not match or match[1] == match[2] == "" or not same(headers.get("If-Range", ""), etag):
        return None
    first, last = match[1][:20], match[2][:20]  # no number of a file is longer
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    if start >= stop:
        if start == 0:  # of an empty file there is nothing else to have; who asks piece by piece begins so
            return None
        raise Unsatisfiable
    return start, stop


def same(condition: str, etag: str) -> bool:
    """Whether who has a part has one of this file: If-Range says so, or nothing. A date does not: it has seconds, and a
    file may be replaced twice in one."""
    return condition in ("", etag)
