"""The page: a folder's list, a search, a download; or one line, while the file system is away."""

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from django.conf import settings
from django.contrib.admin.views.decorators import staff_member_required
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from . import beneath, folders
from .download import AsyncPieces, Pieces
from .in_time import SECONDS, Away, Mount

ALLOWED = staff_member_required  # who may see it: login_required for all who sign in
SEARCH = 3.0  # seconds
MARGIN = 1.0  # seconds, after which what should have ended by itself is taken to hang

SENDING = 2  # files, in a process: neither slow visitors nor a slow file system take all places
GONE = "The files cannot be reached just now. Try again in a moment."
BROKEN = "This cannot be read just now. The other files can."
BUSY = "Too many are looking at the files just now. Try again in a moment."

Result = TypeVar("Result")
mount, sending = Mount(), threading.BoundedSemaphore(SENDING)


@ALLOWED
@require_safe
def browse(request: HttpRequest, path: str = "") -> HttpResponseBase:
    """The page of a path. A download keeps its place until it is closed."""
    if not mount.take_place():
        return away(request, BUSY)
    response: HttpResponseBase | None = None
    try:
        response = answer(request, beneath.names(path))
    except beneath.NoSuch:
        raise Http404 from None
    except beneath.Unreadable:
        response = away(request, BROKEN)
    except Away:
        response = away(request)
    finally:
        if not isinstance(response, StreamingHttpResponse):
            mount.places.release()
    return response


def answer(request: HttpRequest, names: list[bytes]) -> HttpResponseBase:
    """Raises NoSuch, Unreadable and Away."""
    if text := request.GET.get("q", "").strip():
        return search(request, names, text)
    if ask(lambda top: beneath.is_folder(top, names)):
        return listing(request, names)
    if not sending.acquire(blocking=False):
        return away(request, BUSY)
    try:
        return download(request, names)
    except BaseException:
        sending.release()
        raise


def ask(question: Callable[[int], Result], seconds: float = SECONDS) -> Result:
    """What the question about the root's descriptor answers, in time. Raises NoSuch, Unreadable and Away."""
    any_folder = getattr(settings, "MOUNTED_ANY_FOLDER", settings.DEBUG)

    def work() -> Result:
        top = beneath.root(settings.MOUNTED_ROOT, any_folder)
        try:
            with beneath.told(top):
                return question(top)
        finally:
            os.close(top)
    return mount.call(work, seconds)


def listing(request: HttpRequest, names: list[bytes]) -> HttpResponse:
    given = request.GET.get("page", "")
    page = int(given) if given.isdecimal() and 0 < len(given) < 6 and int(given) else 1
    found = ask(lambda top: folders.listed(top, names, page, SECONDS / 2))
    return shown(request, names, found, {"page": page, "before": page - 1, "after": found.more and page + 1})


def search(request: HttpRequest, names: list[bytes], text: str) -> HttpResponse:
    found = ask(lambda top: folders.searched(top, names, text, SEARCH), SEARCH + MARGIN)
    return shown(request, names, found, {"text": text})


def shown(request: HttpRequest, names: list[bytes], found: folders.Listing, more: dict[str, object]) -> HttpResponse:
    link = partial(reverse, "mounted:path")
    rows = [(entry, entry.address and link(args=[entry.address])) for entry in found.entries]
    above = [(beneath.shown(name), link(args=["/".join(map(beneath.address, names[:number + 1]))]))
             for number, name in enumerate(names)]
    return render(request, "mounted/list.html", {"rows": rows, "above": above, "part": found.part, **more})


def download(request: HttpRequest, names: list[bytes]) -> StreamingHttpResponse:
    """The file as an attachment, which no browser shows by itself."""
    file, size = ask(lambda top: beneath.file(top, names))
    kind = AsyncPieces if isinstance(request, ASGIRequest) else Pieces
    name = beneath.shown(names[-1])
    pieces = kind(mount, file, size if request.method == "GET" else 0, name, sent)
    response = StreamingHttpResponse(pieces, content_type="application/octet-stream")
    response["Content-Length"] = str(size)
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private"
    return response


def sent() -> None:
    """A download has ended, however it has."""
    sending.release()
    mount.places.release()


def away(request: HttpRequest, why: str = GONE) -> HttpResponse:
    """503, and no line in the log for each: the mount's own says it once."""
    response = render(request, "mounted/away.html", {"why": why}, status=503)
    response["Retry-After"] = "5"
    setattr(response, "_has_been_logged", True)
    return response
