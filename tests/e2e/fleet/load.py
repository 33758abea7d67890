"""Load: requests at a steady rate, each on a connection of its own, none sent twice. Every failure is recorded. As with
visitors, a request does not wait for the answers to earlier ones."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from proc import ROOT, end
from .report import Record, Result, from_json

MOST_AT_ONCE = 500


@dataclass(frozen=True)
class Plan:
    """A load to send: `rate` requests a second, in turn to each of `targets` (URLs)."""

    targets: tuple
    rate: float = 50
    seconds: float = 30
    timeout: float = 10
    host: str = "localhost"  # the Host header
    post_every: int = 3  # 0: no POSTs
    posts: int = 1  # number of POSTs in each `post_every` requests
    post_path: str = "/?ms=50"


async def send_all(plan, stop):
    """Send the plan's requests until all are sent or `stop` is set. Return the Result once all have ended."""
    began, clock = time.time(), time.monotonic()
    room = asyncio.Semaphore(MOST_AT_ONCE)
    tasks = []
    for number in range(int(plan.rate * plan.seconds)):
        due = number / plan.rate
        if await _stopped(stop, due - (time.monotonic() - clock)):
            break
        await room.acquire()
        tasks.append(asyncio.create_task(_send(plan, number, due, clock)))
        tasks[-1].add_done_callback(lambda task: room.release())
    return Result(list(await asyncio.gather(*tasks)), began)


async def _stopped(stop, seconds):
    """Sleep that long or until `stop` is set. Return True if it is set."""
    if seconds <= 0:
        return stop.is_set()
    try:
        async with asyncio.timeout(seconds):
            return await stop.wait()
    except TimeoutError:
        return False


async def _send(plan, number, due, clock):
    """Send one request and read its answer to the last byte. Return its Record."""
    target = plan.targets[number % len(plan.targets)]
    post = plan.post_every and number // len(plan.targets) % plan.post_every >= plan.post_every - plan.posts
    started = time.monotonic() - clock
    status = release = cause = None
    try:
        async with asyncio.timeout(plan.timeout):
            status, release, cause = await _exchange(plan, target, post)
    except TimeoutError:
        cause = "timeout"
    except (OSError, EOFError, ValueError) as error:
        cause = _cause(error)
    return Record(number, target, "POST" if post else "GET", due, started, time.monotonic() - clock, status, release,
                  cause)


async def _exchange(plan, target, post):
    """Connect, send, and read to the end. Return status, release and the answer's fault, if any."""
    url = urlsplit(target)
    reader, writer = await asyncio.open_connection(url.hostname, url.port or 80)
    try:
        writer.write(_request(plan, url, post))
        await writer.drain()
        return _judge(await _all_of(reader))
    finally:
        writer.transport.abort()  # the answer is read or given up


def _request(plan, url, post):
    path = plan.post_path if post else (url.path or "/") + (f"?{url.query}" if url.query else "")
    body = b"x" * 100 if post else b""
    length = f"Content-Length: {len(body)}\r\n" if post else ""
    return (f"{'POST' if post else 'GET'} {path} HTTP/1.1\r\nHost: {plan.host}\r\nUser-Agent: fleet-load\r\n"
            f"Connection: close\r\n{length}\r\n").encode() + body


async def _all_of(reader):
    """Return all bytes until the end; one read() might return fewer."""
    try:
        return await reader.readexactly(10_000_000)
    except asyncio.IncompleteReadError as end:
        return end.partial


def _judge(answer):
    """Return (status, release, cause of failure or None) from all bytes of an answer."""
    if not answer:
        return None, None, "empty"
    head, found, body = answer.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    started = re.match(r"HTTP/1\.[01] (\d{3})\b", line)
    if not (found and started):
        return None, None, "cut short" if not found else "not http"
    status, release = int(started[1]), headers.get("x-release")
    if _is_short(headers, body):
        return status, release, "cut short"
    return status, release, None if status < 400 else f"http {status}"


def _is_short(headers, body):
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return not body.endswith(b"0\r\n\r\n")
    return len(body) < int(headers.get("content-length", 0))


def _cause(error):
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "reset"
    return f"{type(error).__name__}: {error}"


# ---- for tests ----

class Load:
    """A load in its own process, so that a busy test does not slow it: `with Load(url, rate=100) as load: …`, then
    `load.result`. The end of the block, or stop(), sends no more and waits for the pending requests. No request may
    fail, unless `may_fail`."""

    def __init__(self, *targets, may_fail=False, **options):
        self.plan, self.may_fail, self.result = Plan(tuple(targets), **options), may_fail, None

    def __enter__(self):
        command = [sys.executable, "-m", "e2e.fleet.load", json.dumps(vars(self.plan))]
        self.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}/tests:{ROOT}"},
                                        stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, start_new_session=True)
        self.process.stderr.readline()  # its first line means that it has begun
        return self

    def __exit__(self, raised, *unused):
        try:
            result = self.stop()
        finally:
            end(self.process)
        assert raised or self.may_fail or not result.failures, result.summary()

    def stop(self):
        """Stop sending and return the Result. Raise AssertionError if the load generator failed."""
        if self.result is None:
            self.process.terminate()
            self.finish()
        return self.result

    def finish(self):
        """Wait until the plan is done. Return the Result."""
        plan = self.plan
        out, err = self.process.communicate(timeout=plan.seconds + plan.timeout + 30)
        assert self.process.returncode == 0 and out, f"the load generator failed: {err}"
        self.result = from_json(out)
        return self.result


# ---- in the load's process ----

async def until_signal(plan):
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print("sending", file=sys.stderr, flush=True)
    return await send_all(plan, stop)


if __name__ == "__main__":
    print(asyncio.run(until_signal(Plan(**json.loads(sys.argv[1])))).as_json())
