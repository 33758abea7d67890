"""Takes clients, asks the breaker, joins them with the service."""

import asyncio
import contextlib
import logging
import socket
import struct
from dataclasses import asdict, dataclass

from .breaker import Breaker, State

CHUNK = 1 << 18  # bytes
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: to close is to reset
log = logging.getLogger("cbp")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Counters:
    """Of clients, since the start; `connected` is of now."""

    accepted: int = 0
    refused: int = 0  # while the breaker was open
    failed: int = 0  # the service could not be reached
    trips: int = 0
    connected: int = 0


class Proxy:
    """Give `serve` to asyncio's start_server."""

    def __init__(self, remote: tuple[str, int], breaker: Breaker, connect: float) -> None:
        self.remote, self.breaker, self.seconds = remote, breaker, connect
        self.counters, self.loop = Counters(), asyncio.get_running_loop()
        self.clients: set[asyncio.Task[None] | None] = set()  # nobody else holds a task
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reset a client at once, or join it with the service until both have said all."""
        self.counters.accepted += 1
        self.clients.add(task := asyncio.current_task())
        try:
            if service := await self.allowed():
                await self.joined((reader, writer), service)
            else:
                reset(writer)
        except asyncio.CancelledError:  # the drain is over
            reset(writer)
        finally:
            self.clients.discard(task)
            self.left.set()

    async def joined(self, client: Streams, service: Streams) -> None:
        """Join them, and count."""
        self.counters.connected += 1
        try:
            await join(client, service)
        finally:
            self.counters.connected -= 1

    async def allowed(self) -> Streams | None:
        """A connection to the service, where the breaker lets it be made and it can be."""
        turn = self.breaker.ask(self.loop.time())
        if turn is None:
            self.counters.refused += 1
            return None
        if self.breaker.state is State.HALF_OPEN:
            log.warning("half-open: one may try")
        try:
            async with asyncio.timeout(self.seconds):
                service = await asyncio.open_connection(*self.remote)
        except Exception as error:  # whatever it is, the breaker waits to be told
            self.tell(turn, str(error) or f"no answer in {self.seconds:g} s")
            self.counters.failed += 1
            return None
        self.tell(turn, "")
        return service

    def tell(self, turn: int, failure: str) -> None:
        """Tell the breaker, and the log where its state is another now."""
        before = self.breaker.turn
        self.breaker.tell(turn, not failure, self.loop.time())
        if self.breaker.turn == before:
            return
        if self.breaker.state is State.OPEN:
            self.counters.trips += 1
            log.warning("open for %g s: %s", self.breaker.pause, failure)
        else:
            log.warning("closed: it answers again")

    async def empty(self) -> None:
        """Return when no client is left."""
        while self.clients:
            self.left.clear()
            await self.left.wait()

    def figures(self) -> dict[str, object]:
        """What /debug/vars shows."""
        return {"state": self.breaker.state.value, "pause": self.breaker.pause, **asdict(self.counters)}


async def join(client: Streams, service: Streams) -> None:
    """Pass on what each says as fast as the other takes it, its end as an end, and its reset as a reset."""
    writers = client[1], service[1]
    try:
        for writer in writers:  # a machine that is gone says nothing
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        async with asyncio.TaskGroup() as both:
            both.create_task(pass_on(client[0], service[1]))
            both.create_task(pass_on(service[0], client[1]))
        for writer in writers:
            writer.close()
            await writer.wait_closed()  # what it has not taken yet may still go
    except* OSError:
        for writer in writers:
            reset(writer)


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All that the one says. Raises OSError where either breaks off."""
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    if not writer.is_closing():
        writer.write_eof()


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection so that the other side sees an error at once, not the end of an answer."""
    with contextlib.suppress(OSError):  # it has gone
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
