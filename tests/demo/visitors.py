"""Visitors of the demo, who come one after another until the end."""

import http.client
import threading
import time
from collections import Counter
from contextlib import closing
from urllib.parse import urlsplit

from proc import wait_until

RATE = 40  # visitors a second
PATIENCE = 30  # seconds until a visitor gives up


class Visitors:
    """`with Visitors(url) as visitors: visitors.start()`. `served`: release → answers that it gave; `failed`: cause →
    visitors who got no answer, or an error."""

    def __init__(self, url):
        self.address, self.served, self.failed = urlsplit(url), Counter(), Counter()
        self.threads, self.ended = [], threading.Event()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def start(self):
        self.threads = [threading.Thread(target=self.come)]
        self.threads[0].start()
        return self

    def wait_for(self, more):
        """Wait until that many more were served."""
        enough = sum(self.served.values()) + more
        wait_until(lambda: sum(self.served.values()) >= enough, 120, f"{more} visitors")

    def come(self):
        """Send each visitor when he is due, however long the others wait. Return once the last has left."""
        began, number, visitors = time.monotonic(), 0, []
        while not self.ended.wait(max(0, began + number / RATE - time.monotonic())):
            visitors = [*filter(threading.Thread.is_alive, visitors), threading.Thread(target=self.visit)]
            visitors[-1].start()
            number += 1
        for visitor in visitors:
            visitor.join()

    def visit(self):
        connection = http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=PATIENCE)
        try:
            with closing(connection):
                connection.request("GET", "/", headers={"Connection": "close"})
                answer = connection.getresponse()
                answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.failed[type(error).__name__] += 1
        else:
            release = answer.headers["X-Release"]
            counter, key = (self.served, release) if answer.status == 200 else (self.failed, f"status {answer.status}")
            counter[key] += 1
