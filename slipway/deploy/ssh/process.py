"""Runs programs here, beside others. One that reads or writes nothing blocks nobody, and its output is bounded."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from subprocess import PIPE
from typing import Any, BinaryIO, TypeVar, cast

from ..errors import HostProblem, nonsense
from . import children
from .stream import Stream

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


class Process:
    """A program that `start` has started. `err` is the end of its stderr. It takes two descriptors: for stdin and
    stdout together, and for stderr."""

    program: subprocess.Popen[bytes]

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.err, self.out = b"", asyncio.StreamReader(limit=LONGEST)
        self.exited, self.closed = loop.create_future(), loop.create_future()
        self.streams: dict[int, Stream] = {}

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
        if stream := self.streams.get(STDIN):
            stream.write(data)

    def end_input(self) -> None:
        """Close its stdin, when all is written."""
        if stream := self.streams.get(STDIN):
            stream.end()

    # ---- its end ----

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self.program.returncode

    async def ended(self, limit: float | None = None) -> int | None:
        """Its exit code when it has ended and its output is here; None where it runs on after `limit` seconds. Does not
        wait for programs that it has left behind with its pipes."""
        await asyncio.wait({self.exited}, timeout=limit)
        if self.exited.done():
            await asyncio.wait({self.closed}, timeout=1)
        return self.code

    def kill(self) -> None:
        """Kill it at once."""
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.program.pid, signal.SIGKILL)

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
            for stream in self.streams.values():
                stream.close()

    # ---- its beginning ----

    def start(self, words: Sequence[str], stdin: Any, stdout: Any, stderr: Any, **options: Any) -> None:
        """Start it. Raises OSError."""
        theirs: socket.socket | None = None
        if stdin == stdout == PIPE:
            ours, theirs = socket.socketpair()
            stdin = stdout = theirs
        try:
            self.program = subprocess.Popen(words, bufsize=0, stdin=stdin, stdout=stdout, stderr=stderr, **options)
        except BaseException:
            if theirs:
                ours.close()
            raise
        finally:
            if theirs:
                theirs.close()
        self._hold(ours if theirs else None)
        children.watch(self.program, self._exited)

    def _hold(self, both: socket.socket | None) -> None:
        """Keep our ends; `both` is that of stdin and stdout together."""
        if both:
            self.streams[STDIN] = self.streams[STDOUT] = Stream(both, self._hear_out)
        if self.program.stdin:
            self.streams[STDIN] = Stream(cast(BinaryIO, self.program.stdin))
        if self.program.stdout:
            self.streams[STDOUT] = Stream(cast(BinaryIO, self.program.stdout), self._hear_out)
        if self.program.stderr:
            self.streams[STDERR] = Stream(cast(BinaryIO, self.program.stderr), self._hear_err)
        if STDOUT in self.streams:
            self.out.set_transport(cast(asyncio.Transport, self.streams[STDOUT]))  # paused while nobody reads
        else:
            self.out.feed_eof()

    # ---- what it calls ----

    def _hear_out(self, data: bytes) -> None:
        if data:
            self.out.feed_data(data)
        else:
            self.out.feed_eof()
            self._settle()

    def _hear_err(self, data: bytes) -> None:
        self.err = (self.err + data)[-KEPT:]
        if not data:
            self._settle()

    def _exited(self) -> None:
        self.exited.set_result(None)
        self._settle()

    def _settle(self) -> None:
        """Give the descriptors back once it has ended and all its output is here."""
        if self.exited.done() and all(stream.deaf for stream in self.streams.values()) and not self.closed.done():
            for stream in self.streams.values():
                stream.close()
            self.closed.set_result(None)


async def start(words: Sequence[str], stdin: Any = PIPE, stdout: Any = PIPE, stderr: Any = PIPE,
                start_new_session: bool = True) -> Process:
    """Start a program, in a session of its own, so that Ctrl-C reaches us alone. The caller closes it. Raises
    OSError."""
    children.heed()
    process = Process()
    process.start(words, stdin, stdout, stderr, start_new_session=start_new_session)
    return process


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
