"""The proxy: each client's connection gets one to the service, if the breaker lets it."""

import asyncio
import contextlib
import logging
import socket
import struct
from dataclasses import asdict, dataclass

from .breaker import Breaker, State

CHUNK = 1 << 18  # bytes
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close sends a reset
log = logging.getLogger("cbp")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Counters:
    """Counts since the program's start."""

    accepted: int = 0
    refused: int = 0  # clients that the breaker refused
    failed: int = 0  # clients for which the connection to the service failed
    trips: int = 0


class Proxy:
    """Serves clients: passes their data to the service, and counts."""

    def __init__(self, remote: tuple[str, int], breaker: Breaker, connect: float) -> None:
        self.remote, self.breaker, self.seconds = remote, breaker, connect
        self.counters, self.loop = Counters(), asyncio.get_running_loop()
        self.clients = set[asyncio.Task[None]]()  # asyncio keeps only weak references to tasks

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counters.accepted += 1
        self.clients.add(task := self.loop.create_task(self.serve(reader, writer)))
        task.add_done_callback(self.clients.discard)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward data between client and service. If breaker or service refuses, reset the client's connection."""
        try:
            if service := await self.allowed():
                await join((reader, writer), service)
            else:
                reset(writer)
        except asyncio.CancelledError:  # cbp exits while this client is connected
            reset(writer)

    async def allowed(self) -> Streams | None:
        turn = self.breaker.ask(self.loop.time())
        if turn is None:
            self.counters.refused += 1
            return None
        if self.breaker.state is State.HALF_OPEN:
            log.warning("half-open: one client may try")
        try:
            async with asyncio.timeout(self.seconds):
                service = await asyncio.open_connection(*self.remote)
        except Exception as error:  # the breaker must get a result after any error
            self.tell(turn, str(error) or f"no answer in {self.seconds:g} s")
            self.counters.failed += 1
            return None
        self.tell(turn, "")
        return service

    def tell(self, turn: int, failure: str) -> None:
        before = self.breaker.turn
        self.breaker.tell(turn, not failure, self.loop.time())
        if self.breaker.turn == before:
            return
        if self.breaker.state is State.OPEN:
            self.counters.trips += 1
            log.warning("open for %g s: %s", self.breaker.pause, failure)
        else:
            log.warning("closed: the service answers again")

    async def empty(self) -> None:
        while self.clients:
            await asyncio.wait(self.clients)

    def metrics(self) -> dict[str, object]:
        return {
            "state": self.breaker.state.value,
            "pause": self.breaker.pause,
            "connected": len(self.clients),
            **asdict(self.counters),
        }


async def join(client: Streams, service: Streams) -> None:
    """Copy data both ways until client and service have sent all. If one connection breaks, reset both."""
    writers = client[1], service[1]
    try:
        for writer in writers:  # keep-alive detects that the other machine vanished
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        async with asyncio.TaskGroup() as both:
            both.create_task(pass_on(client[0], service[1]))
            both.create_task(pass_on(service[0], client[1]))
        for writer in writers:
            writer.close()
            await writer.wait_closed()  # waits until buffered data is sent
    except* OSError:
        for writer in writers:
            reset(writer)


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    if not writer.is_closing():
        writer.write_eof()


def reset(writer: asyncio.StreamWriter) -> None:
    """Reset a connection, so that the other side does not take a partial answer for a complete one."""
    with contextlib.suppress(OSError):  # the connection may be closed already
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
