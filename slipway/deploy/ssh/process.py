"""Runs programs here, beside others, as asyncio's subprocesses: none blocks the others, and their output is bounded."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar, cast

from ..errors import HostProblem, nonsense

LONGEST = 4 * 2**20  # bytes of a line: facts, with the records of many releases, have some 100 KB
MOST = 16 * 2**20  # bytes of a command's stdout
KEPT = 65536  # bytes of stderr, its last
T = TypeVar("T")
Done = NamedTuple("Done", [("code", int | None), ("out", bytes), ("err", bytes)])  # how a program has ended


class Process(asyncio.SubprocessProtocol):
    """A program that `start` has started. `err` is the end of its stderr."""

    def __init__(self) -> None:
        self.err, self.out = b"", asyncio.StreamReader(limit=LONGEST)
        self.exited, self.closed = asyncio.Future[None](), asyncio.Future[None]()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.SubprocessTransport, transport)
        if stdout := self.transport.get_pipe_transport(1):
            self.out.set_transport(stdout)  # paused while nobody reads

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1:
            return self.out.feed_data(data)
        self.err = (self.err + data)[-KEPT:]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            self.out.feed_eof()

    def process_exited(self) -> None:
        self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.out.feed_eof()  # where stdout is no pipe of ours
        self.closed.set_result(None)

    async def lines(self) -> AsyncIterator[bytes]:
        """The lines of its stdout, without a last one that has no end. Raises Lost where one is longer than LONGEST."""
        try:
            while (line := await self.out.readline()).endswith(b"\n"):
                yield line
        except ValueError:
            raise nonsense(f"a line of more than {LONGEST // 2**20} MB") from None

    def write(self, data: bytes, last: bool = False) -> None:
        """Write to its stdin, and close that after the `last`. Does not wait. Once it has gone, nothing is kept."""
        pipe = cast(asyncio.WriteTransport | None, self.transport.get_pipe_transport(0))
        if pipe and not pipe.is_closing():
            pipe.write(data)
            if last:
                pipe.write_eof()

    async def ended(self, limit: float | None = None) -> int | None:
        """Its exit code once its output is here, None after `limit` seconds. What it left behind is not waited for."""
        await asyncio.wait({self.exited}, timeout=limit)
        if self.exited.done():
            await asyncio.wait({self.closed}, timeout=1)
        return self.transport.get_returncode()

    def kill(self) -> None:
        """Kill it at once. The transport's own `kill` may take the exit code from whoever waits for it."""
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.transport.get_pid(), signal.SIGKILL)

    async def close(self, grace: float = 0.5) -> None:
        """End its input, and kill it where it has not ended after `grace` seconds."""
        self.write(b"", last=True)
        try:
            await asyncio.wait({self.exited}, timeout=grace)
        finally:  # also when a signal ends the wait
            self.kill()
            await asyncio.wait({self.exited}, timeout=5)
            self.transport.close()


async def start(words: Sequence[str], **options: Any) -> Process:
    """Start a program in a session of its own: Ctrl-C reaches us alone. The caller closes it. Raises OSError."""
    options = {"start_new_session": True, **options}
    return (await asyncio.get_running_loop().subprocess_exec(Process, *words, **options))[1]


async def run(words: Sequence[str], input: bytes = b"", timeout: float = 60, **options: Any) -> Done:
    """Run a program to its end. Raises OSError, HostProblem after `timeout` seconds, Lost where it says too much."""
    process = await start(words, **options)
    process.write(input, last=True)
    try:
        async with asyncio.timeout(timeout):
            try:
                await process.out.readexactly(MOST + 1)
            except asyncio.IncompleteReadError as end:
                return Done(await process.ended(), end.partial, process.err)
        raise nonsense(f"more than {MOST // 2**20} MB")
    except TimeoutError:
        raise HostProblem(f"no answer within {timeout:g} s") from None
    finally:
        await process.close(0)


def thread(function: Callable[..., T], *words: Any) -> Future[T]:
    """Call a function that may block, in a thread for which neither a cancellation nor the deployer's end waits."""
    future = Future[T]()
    future.set_running_or_notify_cancel()  # from here on it cannot be cancelled

    def call() -> None:
        try:
            future.set_result(function(*words))
        except BaseException as error:
            future.set_exception(error)
    threading.Thread(target=call, daemon=True).start()
    return future


async def in_thread(function: Callable[..., T], *words: Any) -> T:
    """What the function returns, called in such a thread."""
    return await asyncio.wrap_future(thread(function, *words))
