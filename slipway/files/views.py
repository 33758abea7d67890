"""Serves uploads in the database as nginx serves uploads in a folder (slipway/deploy/server/nginx/app.conf)."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.exceptions import SuspiciousFileOperation
from django.db import connections
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import http_date
from django.views.decorators.http import require_safe

from ..env import Env
from .models import CHUNK
from .storage import DatabaseStorage, Reader

# Types that browsers show. They download all others, so that no upload runs as a page.
SHOWN = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "mp4": "video/mp4",
    "webm": "video/webm",
}
INERT = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Accept-Ranges": "bytes",
}
RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)
LONG = 32 * 1024 * 1024  # bytes that nginx buffers: if a response is longer, a slow client occupies a thread
places = threading.BoundedSemaphore(max(1, Env(os.environ).number("WEB_THREADS", 4, least=1) // 2))


@require_safe
def serve(request: HttpRequest, name: str) -> HttpResponseBase:
    storage = DatabaseStorage()
    try:
        blob = storage.find(name)
    except (FileNotFoundError, SuspiciousFileOperation):
        raise Http404("There is no such file.") from None
    if blob.name != name:  # another spelling, such as a//b: each file has only one URL
        raise Http404("There is no such file.")
    etag, modified = f'"{blob.sha256}"', int(blob.modified.timestamp())
    response = get_conditional_response(request, etag, modified) or answer(
        request, Reader(blob, storage.using), name, part(request, blob.size, etag)
    )
    for header, value in {**INERT, "ETag": etag, "Last-Modified": http_date(modified)}.items():
        response.headers[header] = value
    return response


def part(request: HttpRequest, size: int, etag: str) -> tuple[int, int] | None:
    """Return (start, stop) of the requested bytes, or None for the whole file. Only a GET with one valid Range gets a
    part; its If-Range, if present, must equal `etag`. If start ≥ stop, the file has none of the requested bytes."""
    match = RANGE.fullmatch(request.headers.get("Range", "")) if request.method == "GET" else None
    if not match or not (match[1] or match[2]) or request.headers.get("If-Range", etag) != etag:
        return None
    start = int(match[1]) if match[1] else max(0, size - int(match[2]))
    stop = min(size, int(match[2]) + 1) if match[1] and match[2] else size
    turned = match[1] and match[2] and int(match[2]) < int(match[1])
    return None if turned or start == 0 == size else (start, stop)


def answer(request: HttpRequest, reader: Reader, name: str, asked: tuple[int, int] | None) -> HttpResponseBase:
    """Send the bytes `asked` or the whole file. Answer 416 if `asked` is empty, 429 if many threads send long files."""
    size = reader.blob.size
    start, stop = asked or (0, size)
    if asked and start >= stop:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    shown = SHOWN.get(name.rpartition("/")[2].rpartition(".")[2].lower())
    headers = {
        "Content-Type": shown or "application/octet-stream",
        "Content-Length": str(stop - start),
        "Content-Disposition": "inline" if shown else "attachment",
        **({"Content-Range": f"bytes {start}-{stop - 1}/{size}"} if asked else {}),
    }
    if request.method == "HEAD":
        return HttpResponse(headers=headers)
    reader.seek(start)
    status, kind = 206 if asked else 200, StreamingHttpResponse
    if hasattr(request, "scope"):
        return kind(in_turns(reader, stop), status=status, headers=headers)
    if stop - start > LONG:
        if not places.acquire(blocking=False):
            return HttpResponse(status=429, headers={"Retry-After": "5"})  # not 503: a deploy counts 5xx as errors
        kind = Long
    return kind(following(reader, stop), status=status, headers=headers)


class Long(StreamingHttpResponse):
    """A response of more than LONG bytes. Half of a gunicorn worker's threads (at least 1) may send such responses."""

    def close(self) -> None:
        if not self.closed:
            places.release()
        super().close()


def following(reader: Reader, stop: int) -> Iterator[bytes]:
    while data := reader.read(min(CHUNK, stop - reader.tell())):
        yield data


async def in_turns(reader: Reader, stop: int) -> AsyncIterator[bytes]:
    """Yield chunks up to `stop`, for ASGI. A thread reads each chunk, then closes an outdated database connection."""

    def chunk() -> bytes | None:
        try:
            return next(following(reader, stop), None)
        finally:
            if not (connection := connections[reader.using]).in_atomic_block:  # unless a test's transaction is open
                connection.close_if_unusable_or_obsolete()

    while data := await sync_to_async(chunk)():
        yield data
