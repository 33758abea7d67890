"""Load: requests at a steady rate, each on a connection of its own, none sent twice. Every failure is recorded. As with
visitors, a request does not wait for the answers to earlier ones."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from proc import ROOT, end

from .report import Record, Result, from_json

MOST_AT_ONCE = 500
CAUSES = [
    (TimeoutError, "timeout"),
    (ConnectionRefusedError, "refused"),
    (http.client.RemoteDisconnected, "empty"),
    (ConnectionResetError, "reset"),
    (BrokenPipeError, "reset"),
    (http.client.IncompleteRead, "cut short"),
    (http.client.BadStatusLine, "not http"),
]


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


def send_all(plan, stopped):
    """Send the plan's requests until all are sent or `stopped` has an item. Return the Result once all have ended."""
    began, clock = time.time(), time.monotonic()
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        sent = []
        for number in range(int(plan.rate * plan.seconds)):
            time.sleep(max(0, number / plan.rate - (time.monotonic() - clock)))
            if stopped:
                break
            sent.append(pool.submit(_send, plan, number, clock))
    return Result([each.result() for each in sent], began)


def _send(plan, number, clock):
    """Send one request and read its answer to the last byte. Return its Record."""
    target = plan.targets[number % len(plan.targets)]
    post = plan.post_every and number // len(plan.targets) % plan.post_every >= plan.post_every - plan.posts
    method, started = "POST" if post else "GET", time.monotonic() - clock
    release = cause = None
    try:
        status, release = _exchange(plan, target, method)
        cause = None if status < 400 else f"http {status}"
    except (OSError, http.client.HTTPException) as error:
        cause = next((name for kind, name in CAUSES if isinstance(error, kind)), f"{type(error).__name__}: {error}")
    return Record(target, method, started, time.monotonic() - clock, release, cause)


def _exchange(plan, target, method):
    """Connect, send, and read to the end. Return status and release."""
    url = urlsplit(target)
    path, body = (plan.post_path, b"x" * 100) if method == "POST" else (url.path, None)
    with contextlib.closing(http.client.HTTPConnection(url.hostname, url.port, timeout=plan.timeout)) as connection:
        connection.request(method, path, body, {"Host": plan.host, "User-Agent": "fleet-load", "Connection": "close"})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers["X-Release"]


# ---- for tests ----


class Load:
    """A load in its own process, so that a busy test does not slow it: `with Load(url, rate=100) as load: …`, then
    `load.result`. The end of the block, or stop(), sends no more and waits for the pending requests. No request may
    fail, unless `may_fail`."""

    def __init__(self, *targets, may_fail=False, **options):
        self.plan, self.may_fail, self.result = Plan(tuple(targets), **options), may_fail, None

    def __enter__(self):
        command = [sys.executable, "-m", "e2e.fleet.load", json.dumps(vars(self.plan))]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}/tests:{ROOT}"},
            stdin=subprocess.DEVNULL,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
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


def main(plan):
    stopped = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.append(True))
    print("sending", file=sys.stderr, flush=True)
    print(send_all(plan, stopped).as_json())


if __name__ == "__main__":
    main(Plan(**json.loads(sys.argv[1])))
