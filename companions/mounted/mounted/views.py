"""The page: a folder's list, or a download; or one line, while the file system is away."""

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

ALLOWED = staff_member_required  # who may see it: login_required for all who sign in
PIECE = 256 * 1024
GONE = "The files cannot be reached just now. Try again in a moment."
BUSY = "Too many are looking at the files just now. Try again in a moment."

logger, mount = logging.getLogger(__name__), Mount()


@ALLOWED
@require_safe
def browse(request: HttpRequest, path: str = "") -> HttpResponseBase:
    """The page of a path. A download keeps its place until it has ended."""
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
    """Raises NoSuch and Away."""
    given = request.GET.get("page", "")
    page = int(given) if given.isdecimal() and 0 < len(given) < 6 and int(given) else 1

    def look() -> tuple[FileIO | list[beneath.Entry], int]:
        any_folder = getattr(settings, "MOUNTED_ANY_FOLDER", settings.DEBUG)
        number = beneath.opened(settings.MOUNTED_ROOT, any_folder, names)
        try:
            found = os.fstat(number)
            if stat.S_ISREG(found.st_mode):
                return FileIO(os.dup(number)), found.st_size
            return beneath.listed(number, names, page)
        finally:
            os.close(number)
    found, count = mount.call(look)
    if isinstance(found, FileIO):
        return download(request, found, count, beneath.shown(names[-1]))
    above = [(beneath.shown(name), beneath.address(names[:number + 1])) for number, name in enumerate(names)]
    return render(request, "mounted/list.html", {
        "entries": found, "above": above, "most": count == beneath.MOST and count,
        "before": page - 1, "after": count > page * beneath.PAGE and page + 1})


class Download:
    """A file on its way to a visitor, piece by piece, each in time. Its place is free once it is dropped, as Django
    does with the answer to a visitor who has left."""

    def __init__(self, file: FileIO, size: int, name: str) -> None:
        self.file, self.left, self.name = file, size, name
        weakref.finalize(self, ended, file).atexit = False

    def piece(self) -> bytes:
        """The next one, empty at the end. Raises ConnectionResetError where the rest cannot be had: servers close the
        connection at this, and log no traceback."""
        try:
            read = mount.in_time(lambda: self.file.read(min(PIECE, self.left))) if self.left else b""
        except (Away, OSError) as error:
            return self.broken(str(error))
        self.left -= len(read)
        return read if read or not self.left else self.broken("it has become shorter")

    def broken(self, why: str) -> bytes:
        logger.warning("a download of %r broke off: %s", self.name, why)
        raise ConnectionResetError(errno.ECONNRESET, "the rest cannot be read")

    def pieces(self) -> Iterator[bytes]:
        while piece := self.piece():
            yield piece

    async def pieces_in_turn(self) -> AsyncIterator[bytes]:
        """Under ASGI, where Django would first read all that is not asynchronous into memory."""
        while piece := await sync_to_async(self.piece, thread_sensitive=False)():
            yield piece


def ended(file: FileIO) -> None:
    """A close asks the file system, too, and may hang: nobody waits for it."""
    mount.places.release()
    threading.Thread(target=file.close, daemon=True).start()


def download(request: HttpRequest, file: FileIO, size: int, name: str) -> StreamingHttpResponse:
    """The file as an attachment, which no browser shows by itself."""
    sent = Download(file, size if request.method == "GET" else 0, name)
    pieces = sent.pieces_in_turn() if isinstance(request, ASGIRequest) else sent.pieces()
    return StreamingHttpResponse(pieces, content_type="application/octet-stream", headers={
        "Content-Length": str(size), "Content-Disposition": content_disposition_header(True, name) or "attachment",
        "X-Content-Type-Options": "nosniff", "Cache-Control": "private"})


def away(request: HttpRequest, why: str) -> HttpResponse:
    """503, and no line in the log for each: the mount's own says it once."""
    response = render(request, "mounted/away.html", {"why": why}, status=503)
    response["Retry-After"] = "5"
    setattr(response, "_has_been_logged", True)
    return response
