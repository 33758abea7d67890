"""Runs local programs with asyncio; limits their output."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar, cast

from ..errors import HostProblem, invalid_answer

LONGEST = 4 * 2**20  # maximum bytes of a line; facts about many releases have about 100 KB
MOST = 16 * 2**20  # maximum bytes of a command's stdout
KEPT = 65536  # bytes from the end of stderr that are kept
T = TypeVar("T")


class Done(NamedTuple):
    """The exit code and output of a program."""

    code: int | None
    out: bytes
    err: bytes


class Process(asyncio.SubprocessProtocol):
    """A started program. `err`: the end of its stderr."""

    def __init__(self) -> None:
        self.err = b""
        self.out = asyncio.StreamReader(limit=LONGEST)
        self.exited = asyncio.Future[None]()
        self.closed = asyncio.Future[None]()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.SubprocessTransport, transport)
        if stdout := self.transport.get_pipe_transport(1):
            self.out.set_transport(stdout)  # for flow control: do not read more than the caller takes

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1:
            self.out.feed_data(data)
            return
        self.err = (self.err + data)[-KEPT:]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            self.out.feed_eof()

    def process_exited(self) -> None:
        self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.out.feed_eof()  # needed if stdout is not a pipe
        self.closed.set_result(None)

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the complete lines of stdout. Raise Lost if a line is longer than LONGEST."""
        try:
            while (line := await self.out.readline()).endswith(b"\n"):
                yield line
        except ValueError:
            raise invalid_answer(f"a line of more than {LONGEST // 2**20} MB") from None

    def write(self, data: bytes, last: bool = False) -> None:
        """Write to stdin without waiting. If stdin is closed, drop the data. If `last` is True, then close stdin."""
        pipe = cast(asyncio.WriteTransport | None, self.transport.get_pipe_transport(0))
        if pipe and not pipe.is_closing():
            pipe.write(data)
            if last:
                pipe.write_eof()

    async def ended(self, limit: float | None = None) -> int | None:
        """Wait until the program ends, then up to 1 s for its last output: children may keep stdout open longer.
        Return the exit code, or None after `limit` seconds."""
        await asyncio.wait({self.exited}, timeout=limit)
        if self.exited.done():
            await asyncio.wait({self.closed}, timeout=1)
        return self.transport.get_returncode()

    def kill(self) -> None:
        """Kill the program with os.kill: after the transport's `kill`, asyncio might miss the exit code."""
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.transport.get_pid(), signal.SIGKILL)

    async def close(self, grace: float = 0.5) -> None:
        """Close stdin. If the program still runs after `grace` seconds, kill it."""
        self.write(b"", last=True)
        try:
            await asyncio.wait({self.exited}, timeout=grace)
        finally:  # also if a signal cancels the wait
            self.kill()
            await asyncio.wait({self.exited}, timeout=5)
            self.transport.close()


async def start(words: Sequence[str], **options: Any) -> Process:
    """Start a program, by default in a session that Ctrl-C does not reach. The caller must close the Process."""
    options = {"start_new_session": True, **options}
    return (await asyncio.get_running_loop().subprocess_exec(Process, *words, **options))[1]


async def run(words: Sequence[str], input: bytes = b"", timeout: float = 60, **options: Any) -> Done:
    """Run a program. Raise OSError if it cannot start, HostProblem after `timeout` s, Lost if stdout exceeds MOST."""
    process = await start(words, **options)
    process.write(input, last=True)
    try:
        async with asyncio.timeout(timeout):
            try:
                await process.out.readexactly(MOST + 1)
            except asyncio.IncompleteReadError as end:
                return Done(await process.ended(), end.partial, process.err)
        raise invalid_answer(f"more than {MOST // 2**20} MB")
    except TimeoutError:
        raise HostProblem(f"no answer within {timeout:g} s") from None
    finally:
        await process.close(0)


async def in_thread(function: Callable[..., T], *words: Any) -> T:
    """Call a blocking function in a thread. Neither cancellation nor Python's exit waits for the thread."""
    future = Future[T]()
    future.set_running_or_notify_cancel()  # from now on the future cannot be cancelled

    def call() -> None:
        try:
            future.set_result(function(*words))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    return await asyncio.wrap_future(future)
