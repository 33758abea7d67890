"""Programs that run here, by asyncio: nobody waits for one that reads or says nothing, and no line is without end."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from ..errors import HostProblem, Nonsense

LONGEST = 4 * 2**20  # bytes of a line: facts, with the records of many releases, have some 100 KB
MOST = 16 * 2**20  # bytes that a command may say
KEPT = 65536  # bytes of stderr, its last
PIECES = 16  # of stdout that may lie here unread
STDIN, STDOUT, STDERR = range(3)
T = TypeVar("T")


@dataclass(frozen=True)
class Done:
    """A program that has ended."""

    code: int | None
    out: bytes
    err: bytes


class Lines:
    """Bytes as they come, cut into lines. Raises Nonsense where one does not end."""

    def __init__(self) -> None:
        self.rest = bytearray()

    def add(self, more: bytes) -> list[bytes]:
        """The lines that have ended with these bytes."""
        ended = []
        for part in more.splitlines(True):
            self.rest += part
            if len(self.rest) > LONGEST:
                raise Nonsense(f"a line of more than {LONGEST // 2**20} MB")
            if part.endswith(b"\n"):
                ended.append(bytes(self.rest))
                self.rest.clear()
        return ended


class Process(asyncio.SubprocessProtocol):
    """A program that `start` has started; `said` is the end of its stderr."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.said, self.pieces = b"", asyncio.Queue[bytes]()
        self.exited, self.closed = loop.create_future(), loop.create_future()

    # ---- what it says ----

    async def lines(self) -> AsyncIterator[bytes]:
        """Its stdout, a line at a time. Raises Nonsense where one does not end."""
        lines = Lines()
        while more := await self._piece():
            for line in lines.add(more):
                yield line

    async def read(self, most: int = MOST) -> bytes:
        """Its whole stdout. Raises Nonsense where there is more than that."""
        data = bytearray()
        while more := await self._piece():
            data += more
            if len(data) > most:
                raise Nonsense(f"more than {most // 2**20} MB")
        return bytes(data)

    async def _piece(self) -> bytes:
        """Some more of its stdout; nothing at its end."""
        piece = await self.pieces.get()
        if self.pieces.empty() and (out := self._pipe(STDOUT)):
            out.resume_reading()
        return piece

    # ---- what it is told ----

    def write(self, data: bytes) -> None:
        """Does not wait: what the program does not read is kept. One that has gone hears nothing."""
        pipe = self._pipe(STDIN)
        if pipe and not pipe.is_closing():
            pipe.write(data)

    def end_input(self) -> None:
        """There is no more."""
        if pipe := self._pipe(STDIN):
            pipe.close()

    # ---- its end ----

    @property
    def code(self) -> int | None:
        return self.transport.get_returncode()

    async def ended(self, limit: float | None = None) -> int | None:
        """Its exit code, when it has ended and what it said is here; None where it runs on after `limit` seconds. What
        it has started may run on with its pipes, and is not waited for."""
        await asyncio.wait({self.exited}, timeout=limit)
        if self.exited.done():
            await asyncio.wait({self.closed}, timeout=1)
        return self.code

    def kill(self) -> None:
        """At once. Not by the transport, which may take the exit code away from whoever waits for it."""
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.transport.get_pid(), signal.SIGKILL)

    async def close(self, grace: float = 0.5) -> None:
        """Let it end by the end of its input, and kill it after so many seconds."""
        self.end_input()
        try:
            await asyncio.wait({self.exited}, timeout=grace)
        finally:  # also when a signal ends the wait
            await self._end()

    async def _end(self) -> None:
        self.kill()
        try:
            await asyncio.wait({self.exited}, timeout=5)
        finally:
            pipe = self._pipe(STDIN)
            if pipe and pipe.get_write_buffer_size():
                pipe.abort()  # what it has not read it never will
            self.transport.close()

    # ---- what asyncio calls ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, number: int, data: bytes) -> None:
        if number == STDERR:
            self.said = (self.said + data)[-KEPT:]
            return
        self.pieces.put_nowait(data)
        if self.pieces.qsize() > PIECES:
            self._pipe(STDOUT).pause_reading()

    def pipe_connection_lost(self, number: int, error: Exception | None) -> None:
        if number == STDOUT:
            self.pieces.put_nowait(b"")

    def process_exited(self) -> None:
        self.exited.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """It has ended, and so have all its pipes."""
        self.closed.set_result(None)

    def _pipe(self, number: int) -> Any:
        return self.transport.get_pipe_transport(number)


async def start(words: Sequence[str], **options: Any) -> Process:
    """Start a program, in a session of its own: Ctrl-C is ours. Raises OSError. Whoever starts it closes it."""
    watch_children()
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    starting = asyncio.ensure_future(asyncio.get_running_loop().subprocess_exec(
        Process, *words, **{**pipes, "start_new_session": True, **options}))
    try:
        return (await asyncio.shield(starting))[1]
    except asyncio.CancelledError:  # asyncio itself would leave pipes open
        with contextlib.suppress(OSError):
            await (await starting)[1].close(0)
        raise


async def run(words: Sequence[str], input: bytes = b"", timeout: float = 60, **options: Any) -> Done:
    """Run a program to its end. Raises OSError where it can't be started, HostProblem where it takes too long."""
    process = await start(words, **options)
    try:
        async with asyncio.timeout(timeout):
            process.write(input)
            process.end_input()
            out = await process.read() if process._pipe(STDOUT) else b""
            code = await process.ended()
    except TimeoutError:
        raise HostProblem(f"no answer within {timeout:g} s") from None
    finally:
        await process.close(0)
    return Done(code, out, process.said)


def watch_children() -> None:
    """Have children waited for without a thread for each, as asyncio does by itself from Python 3.12 on."""
    if sys.version_info >= (3, 12) or not hasattr(os, "pidfd_open"):
        return
    watcher = asyncio.get_child_watcher()
    if isinstance(watcher, asyncio.PidfdChildWatcher) and watcher.is_active():
        return
    with contextlib.suppress(OSError):  # a kernel or a container that lacks it
        os.close(os.pidfd_open(os.getpid()))
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(asyncio.get_running_loop())
        asyncio.set_child_watcher(watcher)


async def in_thread(function: Callable[..., T], *words: Any) -> T:
    """What a call returns that may block, made in a thread. Nobody waits for that thread when he no longer waits for
    the call: neither who is cancelled nor the end of the deployer."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(method: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            method(value)

    def tell(method: Callable[[Any], None], value: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, method, value)

    def call() -> None:
        try:
            tell(future.set_result, function(*words))
        except BaseException as error:
            tell(future.set_exception, error)
    threading.Thread(target=call, daemon=True).start()
    return await future
