"""Runs programs here, by asyncio. One that reads or writes nothing blocks nobody, and its output is bounded."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from ..errors import HostProblem, nonsense

LONGEST = 4 * 2**20  # bytes of a line: facts, with the records of many releases, have some 100 KB
MOST = 16 * 2**20  # bytes of a command's stdout
KEPT = 65536  # bytes of stderr, its last
STDIN, STDOUT, STDERR = range(3)
T = TypeVar("T")


@dataclass(frozen=True)
class Done:
    """How a program has ended: its exit code, its stdout, the end of its stderr."""

    code: int | None
    out: bytes
    err: bytes


class Process(asyncio.SubprocessProtocol):
    """A program that `start` has started. `err` is the end of its stderr.

    asyncio's own Process would wait for the pipes of what the program has left behind, and may lose its exit code.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.err, self.out = b"", asyncio.StreamReader(limit=LONGEST)
        self.exited, self.closed = loop.create_future(), loop.create_future()

    # ---- its output ----

    async def lines(self) -> AsyncIterator[bytes]:
        """The lines of its stdout, without a last one that has no end. Raises Lost where one is longer than LONGEST."""
        try:
            while (line := await self.out.readline()).endswith(b"\n"):
                yield line
        except ValueError:
            raise nonsense(f"a line of more than {LONGEST // 2**20} MB") from None

    async def read(self) -> bytes:
        """Its whole stdout. Raises Lost where that is more than MOST."""
        try:
            await self.out.readexactly(MOST + 1)
        except asyncio.IncompleteReadError as end:
            return end.partial
        raise nonsense(f"more than {MOST // 2**20} MB")

    # ---- its input ----

    def write(self, data: bytes) -> None:
        """Write to its stdin. Does not wait: what it has not read yet is kept; once it has gone, nothing is."""
        pipe = self._pipe(STDIN)
        if pipe and not pipe.is_closing():
            pipe.write(data)

    def end_input(self) -> None:
        """Close its stdin, when all is written."""
        if pipe := self._pipe(STDIN):
            pipe.close()

    # ---- its end ----

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self.transport.get_returncode()

    async def ended(self, limit: float | None = None) -> int | None:
        """Its exit code when it has ended and its output is here; None where it runs on after `limit` seconds. Does not
        wait for programs that it has left behind with its pipes."""
        await asyncio.wait({self.exited}, timeout=limit)
        if self.exited.done():
            await asyncio.wait({self.closed}, timeout=1)
        return self.code

    def kill(self) -> None:
        """Kill it at once. Not by the transport: that may take the exit code away from the child watcher."""
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.transport.get_pid(), signal.SIGKILL)

    async def close(self, grace: float = 0.5) -> None:
        """End its input, and kill it where it has not ended after `grace` seconds."""
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
                pipe.abort()  # nobody reads what is left
            self.transport.close()

    # ---- what asyncio calls ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It has started."""
        self.transport = cast(asyncio.SubprocessTransport, transport)
        if out := self._pipe(STDOUT):
            self.out.set_transport(out)  # the reader pauses it while nobody reads
        else:
            self.out.feed_eof()

    def pipe_data_received(self, number: int, data: bytes) -> None:
        """It has written to stdout or stderr."""
        if number == STDERR:
            self.err = (self.err + data)[-KEPT:]
        else:
            self.out.feed_data(data)

    def pipe_connection_lost(self, number: int, error: Exception | None) -> None:
        """A pipe is closed."""
        if number == STDOUT:
            self.out.feed_eof()

    def process_exited(self) -> None:
        """It has ended; its pipes may be open."""
        self.exited.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """It has ended, and all its pipes are closed."""
        self.closed.set_result(None)

    def _pipe(self, number: int) -> Any:
        return self.transport.get_pipe_transport(number)


async def start(words: Sequence[str], **options: Any) -> Process:
    """Start a program, in a session of its own, so that Ctrl-C reaches us alone. The caller closes it. Raises
    OSError."""
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
    """Run a program to its end. Raises OSError where it can't be started, HostProblem after `timeout` seconds, Lost
    where it says more than MOST."""
    process = await start(words, **options)
    try:
        async with asyncio.timeout(timeout):
            process.write(input)
            process.end_input()
            out = await process.read()
            code = await process.ended()
    except TimeoutError:
        raise HostProblem(f"no answer within {timeout:g} s") from None
    finally:
        await process.close(0)
    return Done(code, out, process.err)


def watch_children() -> None:
    """Wait for children without a thread for each, which asyncio does by itself from Python 3.12 on."""
    if sys.version_info >= (3, 12) or not hasattr(os, "pidfd_open"):
        return
    watcher = asyncio.get_child_watcher()
    if isinstance(watcher, asyncio.PidfdChildWatcher) and watcher.is_active():
        return
    with contextlib.suppress(OSError):  # a kernel or a container without pidfd_open
        os.close(os.pidfd_open(os.getpid()))
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(asyncio.get_running_loop())
        asyncio.set_child_watcher(watcher)


def thread(function: Callable[..., T], *words: Any) -> Future[T]:
    """Call a function that may block, in a thread of its own. Neither a cancellation nor the deployer's end waits for
    it."""
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
