"""Serves files out of the database, as nginx does out of a folder (slipway/deploy/server/nginx/app.conf)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import default_storage
from django.db import connections
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import http_date
from django.views.decorators.http import require_safe

from .content import Reader
from .long import held
from .models import CHUNK, Blob
from .ranges import Unsatisfiable, part
from .storage import DatabaseStorage

# What a browser shows; the rest it downloads, so that it runs none of it.
SHOWN = {"png": "image/png", "jpeg": "image/jpeg", "jpg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
         "avif": "image/avif", "mp3": "audio/mpeg", "ogg": "audio/ogg", "mp4": "video/mp4", "webm": "video/webm"}
INERT = {"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff",
         "Cross-Origin-Resource-Policy": "same-origin", "Accept-Ranges": "bytes"}


@require_safe
def serve(request: HttpRequest, name: str, storage: DatabaseStorage | None = None) -> HttpResponseBase:
    """The file of that name, or the part of it that is asked for."""
    storage = storage or database_storage()
    blob = find(storage, name)
    etag, modified = f'"{blob.sha256}"', int(blob.modified.timestamp())
    headers = {**INERT, **kind(name), "ETag": etag, "Last-Modified": http_date(modified)}
    if early := get_conditional_response(request, etag, modified):
        return with_headers(early, headers)
    try:
        asked = part(request.headers, blob.size, etag) if request.method == "GET" else None
    except Unsatisfiable:
        return HttpResponse(status=416, headers={**INERT, "Content-Range": f"bytes */{blob.size}"})
    start, stop = asked or (0, blob.size)
    if asked:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{blob.size}"
    headers["Content-Length"] = str(stop - start)
    return with_headers(answer(request, Reader(blob, storage.using), start, stop, 206 if asked else 200), headers)


def database_storage() -> DatabaseStorage:
    """The project's own, with what the settings say of it."""
    return default_storage if isinstance(default_storage, DatabaseStorage) else DatabaseStorage()


def find(storage: DatabaseStorage, name: str) -> Blob:
    """The file. Raises Http404."""
    try:
        blob = storage.find(name)
    except (FileNotFoundError, SuspiciousFileOperation):
        raise Http404("There is no such file.") from None
    if blob.name != name:  # one address a file
        raise Http404("There is no such file.")
    return blob


def kind(name: str) -> dict[str, str]:
    """The headers that say what it is, by the end of its name."""
    shown = SHOWN.get(name.rpartition("/")[2].rpartition(".")[2].lower())
    return {"Content-Type": shown or "application/octet-stream",
            "Content-Disposition": "inline" if shown else "attachment"}


def with_headers(response: HttpResponseBase, headers: dict[str, str]) -> HttpResponseBase:
    """The response with these headers."""
    for name, value in headers.items():
        if response.status_code in (200, 206) or not name.startswith("Content-") or name in INERT:
            response.headers[name] = value
    return response


def answer(request: HttpRequest, reader: Reader, start: int, stop: int, status: int) -> HttpResponseBase:
    """The bytes, as they are sent under WSGI or ASGI; none for HEAD."""
    if request.method == "HEAD":
        return HttpResponse(status=status)
    reader.seek(start)
    if hasattr(request, "scope"):
        return StreamingHttpResponse(in_turns(reader, stop), status=status)
    if (found := held(pieces(reader, stop), stop - start)) is None:
        return HttpResponse(status=429, headers={"Retry-After": "5"})  # no error of the release, as a 503 would be
    return StreamingHttpResponse(found, status=status)


def pieces(reader: Reader, stop: int) -> Iterator[bytes]:
    """What is left of it, chunk by chunk."""
    while data := reader.read(min(CHUNK, stop - reader.tell())):
        yield data


async def in_turns(reader: Reader, stop: int) -> AsyncIterator[bytes]:
    """The same, where nobody may wait; a connection that shall not outlive a request does not outlive a chunk."""
    def following() -> bytes | None:
        try:
            return reader.read(min(CHUNK, stop - reader.tell()))
        finally:
            let_go(reader.using)
    while data := await sync_to_async(following)():
        yield data


def let_go(using: str) -> None:
    """Close this thread's connection as after a request, unless somebody's transaction is open, as in a test."""
    if not (connection := connections[using]).in_atomic_block:
        connection.close_if_unusable_or_obsolete()
