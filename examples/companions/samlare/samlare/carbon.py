"""The lines for Graphite: a buffer, and the connection by which they are sent."""

import asyncio
import contextlib
import logging
import socket
import time
from collections import deque
from dataclasses import dataclass

from .config import Config

PAUSE = 1  # seconds before a retry
RESEND = 10  # seconds before a connection broke: lines sent in this time are sent again
BATCH = 500  # lines in one write
log = logging.getLogger("samlare")


@dataclass
class Counters:
    """Counts since the program's start."""

    looks: int = 0  # requests to endpoints
    failures: int = 0  # requests that failed
    sent: int = 0  # lines sent; a line that is sent again counts again
    dropped: int = 0  # lines dropped from a full buffer
    connections: int = 0  # connections opened to carbon


class Carbon:
    """A queue of lines for carbon, Graphite's server. Carbon confirms nothing. If a connection breaks, the
    queue sends the latest lines again. Carbon stores a repeated line once."""

    def __init__(self, config: Config) -> None:
        self.config, self.counters = config, Counters()
        self.waiting: deque[bytes] = deque()
        self.sent: deque[tuple[float, bytes]] = deque()  # (time of sending, line that may have to be sent again)
        self.filled, self.empty = asyncio.Event(), asyncio.Event()
        self.empty.set()
        self.away = False

    def put(self, lines: list[bytes]) -> None:
        self.waiting.extend(lines)
        self.fit()

    def fit(self) -> None:
        while len(self.waiting) > self.config.buffer:
            self.waiting.popleft()
            self.counters.dropped += 1
        (self.filled.set if self.waiting else self.filled.clear)()
        (self.empty.clear if self.waiting else self.empty.set)()

    async def run(self) -> None:
        while True:
            try:
                await self.deliver()
            except (OSError, UnicodeError) as error:  # UnicodeError: an invalid host name
                if not self.away:
                    log.warning("carbon: %s", error or "no answer in time")
                self.away = True
            self.again()
            await asyncio.sleep(PAUSE)

    async def deliver(self) -> None:
        """Send lines over one connection until it breaks, then raise OSError."""
        timeout = self.config.timeout / 1000
        opening = asyncio.open_connection(self.config.carbon_host, self.config.carbon_port)
        reader, writer = await asyncio.wait_for(opening, timeout)
        self.counters.connections += 1
        self.away = False
        writer.transport.set_write_buffer_limits(0)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # a dead connection must end before `sent` forgets its lines
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, RESEND * 1000)
        gone = asyncio.create_task(self.end_of(reader))
        try:
            while not gone.done():
                await self.filled.wait()
                batch = [self.waiting.popleft() for _ in range(min(BATCH, len(self.waiting)))]
                self.remember(batch)
                writer.write(b"".join(batch))
                await asyncio.wait_for(writer.drain(), timeout)
                self.counters.sent += len(batch)
                self.fit()
            raise ConnectionResetError("it has ended the connection")
        finally:
            gone.cancel()
            writer.transport.abort()

    async def end_of(self, reader: asyncio.StreamReader) -> None:
        """Wait until carbon closes the connection (carbon never sends data), then wake `deliver`."""
        with contextlib.suppress(OSError):
            await reader.read(1)
        self.filled.set()

    def remember(self, batch: list[bytes]) -> None:
        now = time.monotonic()
        self.sent.extend((now, line) for line in batch)
        while self.sent and self.sent[0][0] < now - RESEND:
            self.sent.popleft()

    def again(self) -> None:
        """Put lines back at the head of the queue if they were sent in the last RESEND seconds."""
        lately = time.monotonic() - RESEND
        self.waiting.extendleft(line for moment, line in reversed(self.sent) if moment >= lately)
        self.sent.clear()
        self.fit()
