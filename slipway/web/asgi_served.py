"""What gunicorn serves where SERVER is asgi: the project's application, each request logged as under WSGI, and streams
of events that end with the worker: a browser asks for them again, and then reaches the next one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from .. import asgi  # noqa: F401: sets Django up, and so comes first
from ..health import metrics
from ..health.probes import answered
from ..logs import request_id

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ID = request_id.HEADER.lower().encode()


class Exchange:
    """A request and its answer, or a websocket, as they pass."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.from_client, self.to_client = scope, receive, send
        self.began, self.status, self.bytes, self.id = time.perf_counter(), 0, 0, ""
        self.is_open = False  # an answer has begun, and not ended
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def receive(self) -> Message:
        """The next message; where the exchange is over, that the client has gone."""
        coming = asyncio.ensure_future(self.from_client())
        either: set[asyncio.Future[Any]] = {coming, self.over}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else {"type": "http.disconnect"}
        finally:
            coming.cancel()

    async def send(self, message: Message) -> None:
        """Pass a message on, and note what the log will tell."""
        if message["type"] == "http.response.start":
            headers = headers_of(message)
            self.status, self.is_open, self.id = message["status"], True, headers.get(ID, "")
            if headers.get(b"content-type", "").startswith("text/event-stream"):
                streams.add(self)
                if stopping:
                    self.stop()
        elif message["type"] == "http.response.body":
            self.bytes += len(message.get("body", b""))
            self.is_open = message.get("more_body", False)
        elif message["type"] == "websocket.accept":
            self.status = 101
        await self.to_client(message)

    def stop(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    async def end(self) -> None:
        """Where the stream was told to stop: its last, empty piece, so that it was answered in whole."""
        if self.is_open and self.over.done():
            await self.to_client({"type": "http.response.body", "body": b""})

    def log(self) -> None:
        """A line, as under WSGI."""
        headers = headers_of(self.scope)
        if self.status:
            answered(self.scope.get("method", "WEBSOCKET"), self.scope["path"], self.status,
                     time.perf_counter() - self.began, request_id=self.id or "-", bytes=self.bytes,
                     remote=self.scope["client"][0], forwarded_for=headers.get(b"x-forwarded-for", ""),
                     user_agent=headers.get(b"user-agent", ""))


streams: set[Exchange] = set()  # of events, that are open
stopping: list[bool] = []  # a stream that begins now ends at once


def stop_streams() -> None:
    """Tell all to end."""
    stopping.append(True)
    for stream in streams:
        stream.stop()


def headers_of(message: MutableMapping[str, Any]) -> dict[bytes, str]:
    """Name → value, of a request or an answer."""
    return {bytes(name).lower(): bytes(value).decode("latin-1") for name, value in message.get("headers", ())}


async def page(app: Application, exchange: Exchange) -> None:
    await app(exchange.scope, exchange.receive, exchange.send)
    with suppress(OSError):  # the client has gone
        await exchange.end()


async def websocket(app: Application, exchange: Exchange) -> None:
    exchange.id = request_id.start(headers_of(exchange.scope).get(ID, ""))
    with metrics.WEBSOCKETS.track_inprogress():
        await app(exchange.scope, exchange.from_client, exchange.send)


def served(app: Application) -> Application:
    """The application, with all that."""
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        kind = {"http": page, "websocket": websocket}.get(scope["type"])
        if not kind:
            return await app(scope, receive, send)
        scope = {**scope, "client": scope.get("client") or ("", 0)}  # over a unix socket: as gunicorn says it
        exchange = Exchange(scope, receive, send)
        try:
            await kind(app, exchange)
        finally:
            streams.discard(exchange)
            exchange.log()
    return answer


application = served(import_string(settings.ASGI_APPLICATION))
