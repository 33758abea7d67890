"""gunicorn's worker for ASGI, in which uvicorn serves. On its way out it answers who has come already, and closes
websockets with 1012: the client comes again, and then reaches the next one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator

import uvicorn
from gunicorn.workers import base

ARRIVES = 0.1  # second: who has connected has sent a request by then, as nginx does at once


class Worker(base.Worker):
    """A process with one event loop. It takes whoever comes."""

    number: str  # see gunicorn.pre_fork

    def run(self) -> None:
        """Serve until told to end, or for so many requests."""
        config = uvicorn.Config(
            self.wsgi, log_config=None, access_log=False, proxy_headers=False, server_header=False,
            backlog=self.cfg.backlog, timeout_keep_alive=self.cfg.keepalive, limit_max_requests=self.max_requests,
            timeout_graceful_shutdown=self.cfg.graceful_timeout - 2)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(Server(config, self).serve(self.sockets))


class Server(uvicorn.Server):
    """uvicorn's, which leaves signals to gunicorn's worker and loses nobody who waits at a socket."""

    def __init__(self, config: uvicorn.Config, worker: Worker) -> None:
        super().__init__(config)
        self.worker = worker

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """They are the worker's, who would otherwise end by one, and not as gunicorn.py wants it."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether it is to end. Every second the worker says that its loop turns."""
        if counter % 10 == 0:
            self.worker.notify()
        return not self.worker.alive or os.getppid() != self.worker.ppid or await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what has come. Where it ends after so many requests, others take who waits."""
        from .asgi_served import stop_streams  # loads the project, which gunicorn does after this module
        waiting = [] if self.worker.alive else [each for listener in sockets or [] for each in arrived(listener)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for each in waiting:
            await loop.connect_accepted_socket(self.protocol, each)
        await asyncio.sleep(ARRIVES)
        stop_streams()
        await super().shutdown(sockets)

    def protocol(self) -> asyncio.Protocol:
        """What talks to a client, as uvicorn makes it."""
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def arrived(listener: socket.socket) -> Iterator[socket.socket]:
    with contextlib.suppress(OSError):  # nobody does
        while True:
            connection = listener.accept()[0]
            connection.setblocking(False)
            yield connection
