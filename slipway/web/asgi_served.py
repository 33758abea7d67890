"""The ASGI application that gunicorn serves. It logs requests as gunicorn does for WSGI. When its worker stops,
the application ends open event streams, so that browsers reconnect to another worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from uvicorn.protocols.utils import ClientDisconnected

from .. import asgi  # noqa: F401  sets Django up before the imports below
from ..health import metrics
from ..health.probes import log_request
from ..logs import raised, request_id

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ID = request_id.HEADER.lower().encode()
app: Application = import_string(getattr(settings, "ASGI_APPLICATION", None) or "slipway.asgi.application")


class Exchange:
    """One request and its response, or one websocket."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.from_client = receive
        self.to_client = send
        self.began = time.perf_counter()
        self.status = 0
        self.bytes = 0
        self.id = ""
        self.is_open = False  # True while the response has begun but not ended
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def receive(self) -> Message:
        """Return the client's next ASGI message. After `stop`, return a message that the client has gone."""
        coming = asyncio.ensure_future(self.from_client())
        either: set[asyncio.Future[Any]] = {coming, self.over}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else {"type": "http.disconnect"}
        finally:
            coming.cancel()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = headers_of(message)
            self.status = message["status"]
            self.is_open = True
            self.id = headers.get(ID, "")
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
        if self.is_open and self.over.done():
            await self.to_client({"type": "http.response.body", "body": b""})

    def log(self) -> None:
        headers = headers_of(self.scope)
        if self.status:
            log_request(
                self.scope.get("method", "WEBSOCKET"),
                self.scope["path"],
                self.status,
                time.perf_counter() - self.began,
                request_id=self.id or "-",
                bytes=self.bytes,
                remote=self.scope["client"][0],
                forwarded_for=headers.get(b"x-forwarded-for", ""),
                user_agent=headers.get(b"user-agent", ""),
            )


streams: set[Exchange] = set()  # open event streams
stopping: list[bool] = []  # not empty once the worker stops: new streams then end at once


def stop_streams() -> None:
    stopping.append(True)
    for stream in streams:
        stream.stop()


def headers_of(message: MutableMapping[str, Any]) -> dict[bytes, str]:
    return {bytes(name).lower(): bytes(value).decode("latin-1") for name, value in message.get("headers", ())}


async def page(exchange: Exchange) -> None:
    await app(exchange.scope, exchange.receive, exchange.send)
    with suppress(OSError):  # the client has gone
        await exchange.end()


async def websocket(exchange: Exchange) -> None:
    exchange.id = request_id.start(headers_of(exchange.scope).get(ID, ""))
    with metrics.WEBSOCKETS.track_inprogress():
        await app(exchange.scope, exchange.from_client, exchange.send)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    kind = {"http": page, "websocket": websocket}.get(scope["type"])
    if not kind:
        return await app(scope, receive, send)
    scope = {**scope, "client": scope.get("client") or ("", 0)}  # a unix socket has no client address
    exchange = Exchange(scope, receive, send)
    try:
        await kind(exchange)
    except ClientDisconnected:
        raise
    except Exception:
        raised.write_server_error("uvicorn.error", "Exception in ASGI application", id=exchange.id)
        raise
    finally:
        streams.discard(exchange)
        exchange.log()
