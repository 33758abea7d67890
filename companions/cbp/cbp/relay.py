"""Two connections, and what one side says passed to the other as fast as it takes it; ends and resets, too."""

import asyncio
import socket
import struct
from typing import cast

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: to close is to reset


def reset(transport: asyncio.Transport) -> None:
    """End a connection so that the other side sees an error at once, not the end of an answer."""
    found: socket.socket | None = transport.get_extra_info("socket")
    if found is not None and not transport.is_closing():
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    transport.abort()


class Side(asyncio.Protocol):
    """One of the two. It is not read from until it is joined. `heard` is the loop's time when it spoke last."""

    transport: asyncio.Transport
    other: "Side"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.heard = loop, loop.time()
        self.joined = self.ended = self.lost = False
        self.early = b""  # uvloop reads once before it pauses

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by class
        self.transport.pause_reading()
        found: socket.socket = transport.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a machine that is gone says nothing

    def join(self, other: "Side") -> None:
        """Let them hear each other, and what was said before. One that has gone takes the other with it."""
        self.other, other.other = other, self
        self.joined = other.joined = True
        for side in (self, other):
            side.begin()

    def begin(self) -> None:
        if self.lost:
            self.other.lose(None)
        elif not self.transport.is_closing():
            self.transport.resume_reading()
            early, self.early = self.early, b""
            self.data_received(early)
            if self.ended:
                self.eof_received()

    def data_received(self, data: bytes) -> None:
        self.heard = self.loop.time()
        if not self.joined:
            self.early += data
        elif not self.other.transport.is_closing():
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """It says no more, and may still listen. Returns whether its connection stays open."""
        self.ended = True
        if not self.joined:
            return True
        if self.other.ended:
            self.other.transport.close()
        elif not self.other.transport.is_closing():
            self.other.transport.write_eof()
        return not self.other.ended

    def pause_writing(self) -> None:
        """It takes no more: read no more from the other until it does."""
        if not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if self.joined:
            self.other.lose(error)

    def lose(self, error: Exception | None) -> None:
        """The other has gone: go as it did."""
        if not self.lost:
            reset(self.transport) if error else self.transport.close()
