"""A gunicorn worker for ASGI that runs uvicorn.
Before it exits, it answers waiting clients and closes websockets with code 1012 (service restart)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import uvicorn
from gunicorn.workers import base

ARRIVES = 2  # seconds for an accepted connection to send its first request; nginx sends it at once


class Worker(base.Worker):
    """gunicorn's worker that runs uvicorn."""

    number: str  # set by gunicorn.pre_fork

    def run(self) -> None:
        config = uvicorn.Config(
            self.wsgi,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=self.cfg.backlog,
            timeout_keep_alive=self.cfg.keepalive,
            limit_max_requests=self.max_requests,
            timeout_graceful_shutdown=self.cfg.graceful_timeout - 2,
        )
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(Server(config, self).serve(self.sockets))


class Server(uvicorn.Server):
    """uvicorn's server, which leaves signals and the end to gunicorn."""

    def __init__(self, config: uvicorn.Config, worker: Worker) -> None:
        super().__init__(config)
        self.worker = worker

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to gunicorn: uvicorn's own method would raise them again at the end and kill the worker."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Return True if the server has to stop. Once a second, tell gunicorn that this worker still runs."""
        if counter % 10 == 0:
            self.worker.notify()
        return not self.worker.alive or os.getppid() != self.worker.ppid or await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer pending requests, then stop. If gunicorn stops this worker, first accept waiting
        connections. If `max_requests` stops it, other workers accept them."""
        from .asgi_served import stop_streams  # not at the top: it imports the project

        waiting = (
            [] if self.worker.alive else [each for listener in sockets or [] for each in waiting_connections(listener)]
        )
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for each in waiting:
            await loop.connect_accepted_socket(self.protocol, each)
        await self.first_requests()
        stop_streams()
        await super().shutdown(sockets)

    async def first_requests(self) -> None:
        """Wait until each accepted connection has sent a request, at most ARRIVES: uvicorn closes those without one."""
        end = time.monotonic() + ARRIVES
        await asyncio.sleep(0.1)  # the loop still accepts
        connections: set[Any] = self.server_state.connections
        while time.monotonic() < end and any(getattr(each, "cycle", "") is None for each in connections):
            await asyncio.sleep(0.01)

    def protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


def waiting_connections(listener: socket.socket) -> Iterator[socket.socket]:
    with contextlib.suppress(OSError):  # no connection waits
        while True:
            connection = listener.accept()[0]
            connection.setblocking(False)
            yield connection
