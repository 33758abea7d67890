"""Brings lines to carbon, also to one that was away for a while."""

import asyncio
import logging
import socket
import time
from collections import deque
from typing import Any

from .config import Config
from .counters import Counters

PAUSES = 0.2, 0.5, 1, 2, 5  # seconds before it connects again
BATCH = 500  # lines in one write
log = logging.getLogger("samlare")


class Carbon:
    """Lines wait here until they are sent. Carbon never says what it has got: so what went out shortly before a
    connection broke goes out again. A value that comes twice for the same second counts once there."""

    def __init__(self, config: Config, counters: Counters) -> None:
        self.config, self.counters = config, counters
        self.waiting: deque[bytes] = deque()
        self.sent: deque[tuple[float, list[bytes]]] = deque()  # (time.monotonic(), lines)
        self.filled, self.empty = asyncio.Event(), asyncio.Event()
        self.empty.set()

    def put(self, lines: list[bytes]) -> None:
        self.waiting.extend(lines)
        self.fit()

    def fit(self) -> None:
        """Drop the oldest beyond the limit, and wake who waits."""
        while len(self.waiting) > self.config.buffer:
            self.waiting.popleft()
            self.counters.dropped += 1
        self.counters.waiting = len(self.waiting)
        (self.filled.set if self.waiting else self.filled.clear)()
        (self.empty.clear if self.waiting else self.empty.set)()

    async def run(self) -> None:
        """Send for ever."""
        failed = 0
        while True:
            began = time.monotonic()
            try:
                await self.deliver()
            except (OSError, UnicodeError) as error:  # UnicodeError: of a host that can be none
                failed = 1 if time.monotonic() - began > PAUSES[-1] else failed + 1
                if failed == 1:
                    log.warning("carbon: %s", error or "no answer in time")
            self.again()
            await asyncio.sleep(PAUSES[min(failed, len(PAUSES)) - 1])

    async def deliver(self) -> None:
        """Send over one connection, until it breaks. Raises OSError then."""
        timeout = self.config.timeout / 1000
        opening = asyncio.open_connection(self.config.carbon_host, self.config.carbon_port)
        reader, writer = await asyncio.wait_for(opening, timeout)
        self.counters.connections += 1
        writer.transport.set_write_buffer_limits(0)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # a machine that is gone is noticed while its lines can be sent again
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT,
                                                       max(self.config.resend, self.config.timeout))
        gone = asyncio.ensure_future(reader.read(1))  # carbon never says anything
        try:
            while not await self.broken(gone):
                batch = [self.waiting.popleft() for _ in range(min(BATCH, len(self.waiting)))]
                self.remember(batch)
                writer.write(b"".join(batch))
                await asyncio.wait_for(writer.drain(), timeout)
                self.counters.sent += len(batch)
                self.fit()
            raise ConnectionResetError("it has ended the connection")
        finally:
            gone.cancel()
            writer.close() if self.empty.is_set() else writer.transport.abort()

    async def broken(self, gone: asyncio.Future[bytes]) -> bool:
        """Wait for lines, or for carbon's end of the connection. Whether it came."""
        filled = asyncio.ensure_future(self.filled.wait())
        either: list[asyncio.Future[Any]] = [gone, filled]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        filled.cancel()
        return gone.done()

    def remember(self, batch: list[bytes]) -> None:
        now = time.monotonic()
        self.sent.append((now, batch))
        while self.sent and self.sent[0][0] < now - self.config.resend / 1000:
            self.sent.popleft()

    def again(self) -> None:
        """Let what was sent last wait once more, before the rest."""
        lately = time.monotonic() - self.config.resend / 1000
        for moment, batch in reversed(self.sent):
            if moment >= lately:
                self.waiting.extendleft(reversed(batch))
        self.sent.clear()
        self.fit()
