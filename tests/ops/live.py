"""Pages, some named after the service that they need, and connections that stay open: a chat over websockets, its
lines as events and by long polls. A URLconf and an ASGI application. The chat's file, CHAT, is shared by all processes
and releases: its lines are `who number`."""

import asyncio
import json
import os
import time
from pathlib import Path
from urllib.parse import parse_qs

from django.contrib import admin
from django.core.cache import cache
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path

from slipway.asgi import application as pages
from slipway.logs import request_id
from slipway.tasks import heartbeat

MOST = float(os.environ.get("MOST", "2"))  # seconds that a long poll waits


def lines_after(after):
    """Return the lines after that number."""
    file = Path(os.environ["CHAT"])
    return file.read_text().splitlines()[after:] if file.exists() else []


async def wait_for_lines(after):
    """Wait for lines after that number, and return them."""
    while not (lines := lines_after(after)):
        await asyncio.sleep(0.02)
    return lines


def plain(request):
    return HttpResponse(os.environ.get("RELEASE_NAME", "plain"))


def cached(request):
    cache.set("key", 1)
    return HttpResponse(cache.get("key"))


def queued(request):
    heartbeat.delay()
    return HttpResponse("queued")


async def who(request):
    """Return the request's id as an async view sees it."""
    return HttpResponse(request_id.current())


async def poll(request):
    try:
        async with asyncio.timeout(MOST):
            return JsonResponse(await wait_for_lines(int(request.GET["after"])), safe=False)
    except TimeoutError:
        return JsonResponse([], safe=False)


async def events(request):
    async def stream(after):
        while True:
            for line in await wait_for_lines(after):
                yield f"id: {after}\ndata: {line}\n\n"
                after += 1

    return StreamingHttpResponse(stream(int(request.GET["after"])), content_type="text/event-stream")


def block(request):
    while not lines_after(0):
        time.sleep(0.02)
    return HttpResponse("waited")


def fail(request):
    raise RuntimeError("it fails")


async def chat(scope, receive, send):
    """Send the lines after `after`. Store each received line, and confirm it."""

    async def tell(after):
        while True:
            for line in await wait_for_lines(after):
                await send({"type": "websocket.send", "text": json.dumps({"line": after, "said": line})})
                after += 1

    await receive()
    await send({"type": "websocket.accept"})
    telling = asyncio.create_task(tell(int(parse_qs(scope["query_string"].decode())["after"][0])))
    while (message := await receive())["type"] == "websocket.receive":
        with open(os.environ["CHAT"], "a") as file:
            file.write(message["text"] + "\n")
        await send({"type": "websocket.send", "text": json.dumps({"kept": message["text"]})})
    telling.cancel()


async def application(scope, receive, send):
    await (chat if scope["type"] == "websocket" else pages)(scope, receive, send)


urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    *(path(view.__name__, view) for view in (plain, cached, queued, who, poll, events, block, fail)),
]
