"""Long connections across flips: the shipped nginx, a balancer's too, before sites with SERVER=asgi."""

import contextlib
import itertools
import json
import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from connect import connection_to
from ops.served import COMMAND
from postgresql import migrate
from proc import ROOT, append, running, wait_until

from .conftest import ask

FLIPS = 4
ENDS = 20  # seconds in which a release must exit: it closes websockets and streams, and answers long polls


@pytest.fixture
def release(nginx, tmp_path):
    """start(slot, name): start a release of the chat in a slot, and return its process."""
    (tmp_path / "scratch_settings.py").write_text(
        "from project.settings import *\nROOT_URLCONF = 'live'\nASGI_APPLICATION = 'live.application'\n"
    )
    database = f"sqlite:///{tmp_path}/db.sqlite3"
    migrate(database)
    env = {
        **os.environ,
        "PYTHONPATH": f"{tmp_path}:{ROOT}/tests/ops",
        "DJANGO_SETTINGS_MODULE": "scratch_settings",
        "DATABASE_URL": database,
        "CACHE_URL": "locmem://",
        "BROKER_URL": "memory://",
        "WEB_CONCURRENCY": "2",
        "SERVER": "asgi",
        "CHAT": str(tmp_path / "chat"),
    }
    with contextlib.ExitStack() as started:

        def start(slot, name):
            path = nginx.root / "run/shop" / slot / "web.sock"
            process = started.enter_context(
                running(COMMAND, cwd=ROOT, env={**env, "SOCKET": str(path), "RELEASE_NAME": name})
            )
            wait_until(lambda: ask(path, "/readyz")[0] == 200, what="it is ready")
            return process

        yield start


class Crowd:
    """Visitors who stay connected until `over`, each in another way."""

    def __init__(self):
        self.over, self.answers, self.closed = threading.Event(), Counter(), Counter()
        self.sent, self.heard, self.releases, self.streams = {}, {}, [], 0

    def chat(self, name, port):
        """Send one line after the other; after a reconnect repeat the last one, unless the server confirmed it."""
        self.sent[name], heard = 1, self.heard.setdefault(name, [])
        while not self.over.is_set():
            with (
                contextlib.suppress(ConnectionClosed),
                connect(f"ws://127.0.0.1:{port}/chat?after={len(heard)}") as socket,
            ):
                self.talk(name, socket, heard)

    def talk(self, name, socket, heard):
        try:
            while not self.over.wait(0.005):
                line = f"{name} {self.sent[name]}"
                socket.send(line)
                while (told := json.loads(socket.recv(30))).get("kept") != line:
                    heard += [told["said"]] if told.get("line") == len(heard) else []
                self.sent[name] += 1
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else None
            self.closed[code] += 1
            raise

    def events(self, name, port):
        """Read a stream of events; it ends only between two events, and another stream then continues it."""
        heard = self.heard.setdefault(name, [])
        while not self.over.is_set():
            self.streams += 1
            with self.get(port, f"/events?after={len(heard)}") as response:
                while not self.over.is_set() and (line := response.readline()):
                    heard += [line[6:].decode().strip()] if line.startswith(b"data: ") else []

    def polls(self, name, port):
        """Send one long poll after the other."""
        heard = self.heard.setdefault(name, [])
        while not self.over.is_set():
            with self.get(port, f"/poll?after={len(heard)}") as response:
                heard += json.loads(response.read())

    def waits(self, port):
        """Send long polls that get no event and last until their timeout."""
        while not self.over.is_set():
            with self.get(port, "/poll?after=1000000") as response:
                assert json.loads(response.read()) == []

    def pages(self, port):
        """Send plain requests; their answers name the release."""
        while not self.over.is_set():
            with self.get(port, "/plain") as response:
                self.releases.append(response.read().decode())

    @contextlib.contextmanager
    def get(self, port, path):
        with contextlib.closing(connection_to(port, 30)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            self.answers[path.partition("?")[0], response.status] += 1
            yield response


def test_a_chat_loses_nothing_across_flips(nginx, release, tmp_path):
    """Flips under load, half of it through a balancer: each line that was sent is kept, and each visitor gets all lines
    in order. Websockets reconnect after code 1012; streams and long polls end complete; plain requests do not fail; and
    no visitor who stays keeps an old release from exiting."""
    port = nginx.site("shop", balancers=["127.0.0.1"])
    front = nginx.balancer("shop", [port])
    crowd, live = Crowd(), release("a", "v0")
    with nginx.serving(port, front), ThreadPoolExecutor(10) as pool:
        visits = [
            pool.submit(visit, *who)
            for visit, *who in (
                (crowd.chat, "ann", port),
                (crowd.chat, "bob", front),
                (crowd.events, "events", port),
                (crowd.events, "events behind", front),
                (crowd.polls, "polls", port),
                (crowd.polls, "polls behind", front),
                (crowd.waits, front),
                (crowd.pages, port),
                (crowd.pages, front),
            )
        ]
        try:
            for flip in range(1, FLIPS + 1):
                live = flipped(nginx, crowd, visits, live, release(slot_of(flip), f"v{flip}"), f"v{flip}")
        finally:
            crowd.over.set()
            append(tmp_path / "chat", "end 0\n")  # the last line: visitors who still wait for one can stop
        for visit in visits:
            visit.result(60)
    kept = (tmp_path / "chat").read_text().splitlines()
    for name in ("ann", "bob"):
        numbers = [int(line.split()[1]) for line in kept if line.startswith(name)]
        assert [number for number, _ in itertools.groupby(numbers)][: crowd.sent[name] - 1] == [
            *range(1, crowd.sent[name])
        ], "said once, or again after a reconnect"
    for name, heard in crowd.heard.items():
        assert len(heard) > FLIPS and heard == kept[: len(heard)], name
    assert {status for _, status in crowd.answers} == {200}, crowd.answers
    # A visitor who sends during the close can miss the code 1012: nginx cannot pass the message on, and disconnects.
    assert set(crowd.closed) <= {1012, None} and crowd.closed[1012] > 0
    assert crowd.closed.total() == 2 * FLIPS and crowd.streams == 2 * FLIPS + 2


def test_an_event_arrives_at_once(nginx, release, tmp_path):
    """An event arrives before the next one follows, also through a balancer."""
    port = nginx.site("shop", balancers=["127.0.0.1"])
    front = nginx.balancer("shop", [port])
    release("a", "v1")
    with nginx.serving(port, front), contextlib.ExitStack() as open_streams:
        streams = []
        for number in range(3):
            append(tmp_path / "chat", f"line {number}\n")
            for where in (port, front) if not number else ():
                connection = open_streams.enter_context(contextlib.closing(connection_to(where, 20)))
                connection.request("GET", "/events?after=0")
                streams.append(connection.getresponse())
            for stream in streams:
                assert [stream.readline() for _ in range(3)] == [
                    f"id: {number}\n".encode(),
                    f"data: line {number}\n".encode(),
                    b"\n",
                ]


def slot_of(flip):
    """Return the slot to which a flip goes: the first one to b, the next one to a, and so on."""
    return "b" if flip % 2 else "a"


def flipped(nginx, crowd, visits, old, new, name):
    """Flip to the new release, end the old one once the new one has visitors, and return the new one."""
    nginx.flip("shop", slot_of(int(name[1:])))
    seen = len(crowd.releases)
    wait_until(lambda: crowd.releases[seen:].count(name) > 20 or any(visit.done() for visit in visits))
    began = time.monotonic()
    old.terminate()
    assert old.wait(30) == 0 and time.monotonic() - began < ENDS, old.output()
    assert "ERROR" not in old.output(), old.output()
    lines = {visitor: len(heard) for visitor, heard in crowd.heard.items()}
    wait_until(
        lambda: (
            all(len(crowd.heard[each]) > many for each, many in lines.items()) or any(visit.done() for visit in visits)
        ),
        what="all hear more, by the new release",
    )
    return new
