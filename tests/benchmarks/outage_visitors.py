"""Who comes to the site of outages.py: visitors, who note what they get; who guesses passwords; and who is slow."""

import asyncio
import contextlib
import http.client
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ops.served import Site
from ops.test_attackers import guess

from proc import wait_until

EACH, PAUSE = 4, 0.3  # visitors of each page, and seconds between two visits of one
CALM = 4  # seconds without a bad answer, after which all is well: longer than the site lets a hanging service rest


@dataclass
class Visit:
    page: str
    began: float
    ended: float = 0
    status: object = None

    def bad(self):
        return self.status != 200 or self.ended - self.began > 1


class Visitors:
    """Who ask for pages, several for each, over and over, from the start of a block to its end."""

    def __init__(self, port, pages):
        self.port, self.pages, self.over, self.visits, self.under_way = port, pages, threading.Event(), [], {}
        self.threads = [threading.Thread(target=self.come, args=(page,), daemon=True) for page in pages * EACH]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(60)

    def come(self, page):
        me = threading.get_ident()
        while not self.over.wait(PAUSE):
            visit = self.under_way[me] = Visit(page, time.monotonic())
            try:
                visit.status = Door(self.port).get(f"/{page}").status
            except (OSError, http.client.HTTPException):
                visit.status = "no answer"
            visit.ended = time.monotonic()
            self.visits.append(visit)

    def calm(self, since, limit=90):
        """Wait until none has got a bad answer for a while. Returns seconds from `since` to the last one; None: it
        never ended."""
        while time.monotonic() < since + limit:
            last = max((visit.ended for visit in list(self.visits) if visit.bad()), default=0)
            waiting = [visit for visit in list(self.under_way.values()) if not visit.ended]
            now = time.monotonic()
            if now - max(last, since) > CALM and all(now - visit.began < 1 for visit in waiting):
                return max(0, last - since)
            time.sleep(0.1)
        return None

    def seen(self, page, start, end):
        """What those saw who came to the page well before `end` and left it well after `start`."""
        visits = [visit for visit in self.visits
                  if visit.page == page and visit.ended > start + 0.5 and visit.began < end - 0.5]
        statuses = sorted({str(visit.status) for visit in visits})
        return f"{' or '.join(statuses)}, {max(visit.ended - visit.began for visit in visits):.1f} s"


class Door(Site):
    """The site as those find it who come through nginx."""

    def __init__(self, port):
        super().__init__(None, port, None)

    def connection(self, unix=False):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)  # nginx's own patience is 60 s


@contextlib.contextmanager
def attackers(port, seconds, count=12):
    """Each guesses passwords as fast as it can, from an address of its own."""
    with ThreadPoolExecutor(count) as pool:
        until = time.monotonic() + seconds
        guesses = [pool.submit(guess, Door(port), number, until) for number in range(count)]
        yield
        for done in guesses:
            done.result()


@contextlib.contextmanager
def slow_clients(port, count=1000):
    """One half never ends its headers, the other its body; who is turned away comes again."""
    opened, over = itertools.count(), threading.Event()
    reached = [0]

    async def client(number):
        begun = b"POST /plain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n" if number % 2 else \
            b"GET /plain HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
        while not over.is_set():
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                reached[0] = next(opened) + 1
                writer.write(begun)
                while not over.is_set() and not writer.is_closing():
                    await asyncio.sleep(2)
                    writer.write(b"x")
                    await writer.drain()
                writer.transport.abort()

    async def crowd():
        await asyncio.gather(*(client(number) for number in range(count)))

    thread = threading.Thread(target=lambda: asyncio.run(crowd()), daemon=True)
    thread.start()
    wait_until(lambda: reached[0] >= count, 30, "all of the slow clients have connected")
    yield
    over.set()
    thread.join(30)
