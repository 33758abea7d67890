"""The page: it lists a folder, sends a file, or reports that the file system fails."""

import errno
import logging
import os
import stat
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from io import FileIO

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.admin.views.decorators import staff_member_required
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from . import beneath
from .in_time import Away, Mount

ALLOWED = staff_member_required  # only staff may see the page; login_required allows all signed-in users
PIECE = 256 * 1024
GONE = "The files cannot be reached just now. Try again in a moment."
BUSY = "Too many are looking at the files just now. Try again in a moment."

logger, mount = logging.getLogger(__name__), Mount()


@ALLOWED
@require_safe
def browse(request: HttpRequest, path: str = "") -> HttpResponseBase:
    """Answer a request for a path. The request takes one of PLACES places until the answer or the download ends."""
    if not mount.take_place():
        return away(request, BUSY)
    response: HttpResponseBase | None = None
    try:
        response = answer(request, beneath.names(path))
    except beneath.NoSuch:
        raise Http404 from None
    except Away:
        response = away(request, GONE)
    finally:
        if not isinstance(response, StreamingHttpResponse):
            mount.places.release()
    return response


def answer(request: HttpRequest, names: list[bytes]) -> HttpResponseBase:
    given = request.GET.get("page", "")
    page = int(given) if given.isdecimal() and 0 < len(given) < 6 and int(given) else 1

    def look() -> tuple[FileIO | list[beneath.Entry], int]:
        number = beneath.opened(settings.MOUNTED_ROOT, settings.DEBUG, names)
        try:
            status = os.fstat(number)
            if stat.S_ISREG(status.st_mode):
                return FileIO(os.dup(number)), status.st_size
            return beneath.listed(number, names, page)
        finally:
            os.close(number)

    content, count = mount.call(look)
    if isinstance(content, FileIO):
        return download(request, content, count, beneath.shown(names[-1]))
    above = [(beneath.shown(name), beneath.address(names[: number + 1])) for number, name in enumerate(names)]
    return render(
        request,
        "mounted/list.html",
        {
            "entries": content,
            "above": above,
            "most": count == beneath.MOST and count,
            "before": page - 1,
            "after": count > page * beneath.PAGE and page + 1,
        },
    )


class Download:
    """A file sent in pieces, each read with a timeout. When Django drops this object, the request's place is free."""

    def __init__(self, file: FileIO, size: int, name: str) -> None:
        self.file, self.left, self.name = file, size, name
        weakref.finalize(self, ended, file).atexit = False

    def piece(self) -> bytes:
        """Return the next piece, or b"" at the file's end. If the rest is unreadable, raise ConnectionResetError,
        because servers log no traceback for it."""
        try:
            read = mount.in_time(lambda: self.file.read(min(PIECE, self.left))) if self.left else b""
        except (Away, OSError) as error:
            return self.broken(str(error))
        self.left -= len(read)
        return read if read or not self.left else self.broken("it has become shorter")

    def broken(self, why: str) -> bytes:
        logger.warning("a download of %r stopped early: %s", self.name, why)
        raise ConnectionResetError(errno.ECONNRESET, "the rest cannot be read")

    def pieces(self) -> Iterator[bytes]:
        while piece := self.piece():
            yield piece

    async def pieces_in_turn(self) -> AsyncIterator[bytes]:
        """Yield the pieces asynchronously. Under ASGI, Django reads the whole of a plain iterator into memory."""
        while piece := await sync_to_async(self.piece, thread_sensitive=False)():
            yield piece


def ended(file: FileIO) -> None:
    """Free the download's place for another request. Close the file in a thread, because closing may hang."""
    mount.places.release()
    threading.Thread(target=file.close, daemon=True).start()


def download(request: HttpRequest, file: FileIO, size: int, name: str) -> StreamingHttpResponse:
    sent = Download(file, size if request.method == "GET" else 0, name)
    pieces = sent.pieces_in_turn() if isinstance(request, ASGIRequest) else sent.pieces()
    return StreamingHttpResponse(
        pieces,
        content_type="application/octet-stream",
        headers={
            "Content-Length": str(size),
            "Content-Disposition": content_disposition_header(True, name) or "attachment",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private",
        },
    )


def away(request: HttpRequest, why: str) -> HttpResponse:
    """Return a page with status 503 that shows `why`. Tell Django not to log the page: `mount` logs failures."""
    response = render(request, "mounted/away.html", {"why": why}, status=503)
    response["Retry-After"] = "5"
    response._has_been_logged = True  # type: ignore[attr-defined]  # a name of Django's, which types lack
    return response
