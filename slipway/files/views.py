"""Serves files out of the database, as nginx does out of a folder (slipway/deploy/server/nginx/app.conf)."""

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

# What a browser shows; the rest it downloads, so that it runs none of it.
SHOWN = {"png": "image/png", "jpeg": "image/jpeg", "jpg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
         "avif": "image/avif", "mp3": "audio/mpeg", "ogg": "audio/ogg", "mp4": "video/mp4", "webm": "video/webm"}
INERT = {"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff",
         "Cross-Origin-Resource-Policy": "same-origin", "Accept-Ranges": "bytes"}
RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)
LONG = 32 * 1024 * 1024  # bytes that nginx takes off the app at once; of longer answers the client sets the pace
places = threading.BoundedSemaphore(max(1, (Env(os.environ).number("WEB_THREADS", 4, least=1) or 4) // 2))


@require_safe
def serve(request: HttpRequest, name: str) -> HttpResponseBase:
    """The file of that name, or the part of it that is asked for."""
    storage = DatabaseStorage()
    try:
        blob = storage.find(name)
    except (FileNotFoundError, SuspiciousFileOperation):
        raise Http404("There is no such file.") from None
    if blob.name != name:  # one address a file
        raise Http404("There is no such file.")
    etag, modified = f'"{blob.sha256}"', int(blob.modified.timestamp())
    response = (get_conditional_response(request, etag, modified)
                or answer(request, Reader(blob, storage.using), name, part(request, blob.size, etag)))
    for header, value in {**INERT, "ETag": etag, "Last-Modified": http_date(modified)}.items():
        response.headers[header] = value
    return response


def part(request: HttpRequest, size: int, etag: str) -> tuple[int, int] | None:
    """[first, after the last) of the bytes, which may be none; None for all: nothing else was asked for, or several
    parts, or part of a file as it was. If-Range has to name this one: a date has seconds, which is not enough."""
    match = RANGE.fullmatch(request.headers.get("Range", "")) if request.method == "GET" else None
    if not match or not (match[1] or match[2]) or request.headers.get("If-Range", etag) != etag:
        return None
    start = int(match[1]) if match[1] else max(0, size - int(match[2]))
    stop = min(size, int(match[2]) + 1) if match[1] and match[2] else size
    turned = match[1] and match[2] and int(match[2]) < int(match[1])
    return None if turned or start == 0 == size else (start, stop)


def answer(request: HttpRequest, reader: Reader, name: str, asked: tuple[int, int] | None) -> HttpResponseBase:
    """The bytes, as they are sent under WSGI or ASGI; none for HEAD."""
    size = reader.blob.size
    start, stop = asked or (0, size)
    if asked and start >= stop:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    shown = SHOWN.get(name.rpartition("/")[2].rpartition(".")[2].lower())
    headers = {"Content-Type": shown or "application/octet-stream", "Content-Length": str(stop - start),
               "Content-Disposition": "inline" if shown else "attachment",
               **({"Content-Range": f"bytes {start}-{stop - 1}/{size}"} if asked else {})}
    if request.method == "HEAD":
        return HttpResponse(headers=headers)
    reader.seek(start)
    status, kind = 206 if asked else 200, StreamingHttpResponse
    if hasattr(request, "scope"):
        return kind(in_turns(reader, stop), status=status, headers=headers)
    if stop - start > LONG:
        if not places.acquire(blocking=False):
            return HttpResponse(status=429, headers={"Retry-After": "5"})  # no error of the release, as a 503 would be
        kind = Long
    return kind(following(reader, stop), status=status, headers=headers)


class Long(StreamingHttpResponse):
    """An answer that has one of half the process's threads: others are answered meanwhile."""

    def close(self) -> None:
        """Give the place back."""
        if not self.closed:
            places.release()
        super().close()


def following(reader: Reader, stop: int) -> Iterator[bytes]:
    """What is left of it, chunk by chunk."""
    while data := reader.read(min(CHUNK, stop - reader.tell())):
        yield data


async def in_turns(reader: Reader, stop: int) -> AsyncIterator[bytes]:
    """The same, where nobody may wait; a connection that shall not outlive a request does not outlive a chunk."""
    def chunk() -> bytes | None:
        try:
            return next(following(reader, stop), None)
        finally:
            if not (connection := connections[reader.using]).in_atomic_block:  # as a test's is
                connection.close_if_unusable_or_obsolete()
    while data := await sync_to_async(chunk)():
        yield data
