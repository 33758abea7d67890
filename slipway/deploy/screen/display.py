"""The display of a deploy: one line per step on a terminal, lines with times in a log, or events as JSON."""

import json
import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from ..errors import indent
from ..ssh.validate import Event, visible
from .steps import Row

AGAIN = 30  # seconds after which a log has another line about a step that still runs


def choose(as_json: bool) -> "Background":
    """Return a Background that draws with Json if `as_json` is True, Terminal if stdout is a terminal, else Lines."""
    kind = Json if as_json else Terminal if sys.stdout.isatty() else Lines
    return Background(kind(sys.stdout).tell)


class Background:
    """Calls `draw` for each event, in a thread, so that a blocked terminal cannot hold up a deploy."""

    def __init__(self, draw: Callable[[Event, bool], None]) -> None:
        self.draw = draw
        self.events = queue.SimpleQueue[Event | None]()
        self.thread = threading.Thread(target=self._draw, daemon=True)
        self.thread.start()

    def tell(self, event: Event) -> None:
        self.events.put({"at": round(time.time(), 3), **event})

    def close(self, limit: float = 5) -> None:
        """Wait until all events are drawn, for at most `limit` seconds."""
        self.events.put(None)
        self.thread.join(limit)

    def _draw(self) -> None:
        while True:
            try:
                event = self.events.get(timeout=1)
            except queue.Empty:
                self.draw({"event": "tick", "at": time.time()}, False)
                continue
            if event is None:
                return
            try:
                self.draw(event, self.events.qsize() > 1)  # not > 0: the last entry may be the None of `close`
            except Exception as error:  # else no later line would be shown
                put(visible(f"slipway: warning: cannot show {str(event)[:200]}: {error!r}"), sys.stderr)


def put(text: str, out: TextIO) -> None:
    """Print a text. Ignore errors of a closed or full output: they must not leave a deploy half done."""
    try:
        write(text + "\n", out)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())  # otherwise Python's flush at exit would fail, too


def write(text: str, out: TextIO) -> None:
    """Write without the stream's buffer, whose lock a stuck thread may hold at exit. Raise OSError if writing fails."""
    try:
        number = out.fileno()
    except OSError:  # `out` is a StringIO, in tests
        out.write(text)
        return
    out.flush()
    data = text.encode(out.encoding, "backslashreplace")
    while data:
        data = data[os.write(number, data) :]


def line(event: Event) -> str:
    """Return an event as a line for people, or "" if people need not see it."""
    kind = event["event"]
    host = event.get("host", "")
    if kind == "takeback" and "problem" in event:
        return indent(f"{host}: takeback: {event['problem']}")
    if kind == "takeback" and not event.get("hosts", host):
        return "taking back: nothing was begun"
    if kind == "skipped":
        return indent(f"{host}: SKIPPED, {event['problem']}; it catches up with the next deploy")
    if kind == "waiting" and host:
        return ""
    return event.get("text", "") and indent(f"{host}: {event['text']}".removeprefix(": "))


class Json:
    """Prints each event as a line of JSON."""

    def __init__(self, out: TextIO) -> None:
        self.out = out

    def tell(self, event: Event, waiting: bool = False) -> None:
        if event["event"] != "tick":
            put(visible(json.dumps(event)), self.out)


class Lines:
    """Prints a line when a step begins, every AGAIN seconds, when it ends, and for each event that has a text."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.rows: dict[str, Row] = {}  # step → its line, while the step runs

    def tell(self, event: Event, waiting: bool = False) -> None:
        clock = time.strftime("%H:%M:%S ", time.localtime(event["at"])) if "at" in event else ""
        rows = [row.draw(row.began) for row in self.fold(event) if row]
        for text in filter(None, [*rows, line(event), *self.late(event.get("at", 0))]):
            put(clock + visible(text), self.out)

    def late(self, now: float) -> Iterator[str]:
        """Yield the lines of the running steps of which nothing was printed for AGAIN seconds."""
        for row in self.rows.values():
            if now - max(row.began, row.printed) >= AGAIN:
                row.printed = now
                yield row.draw(now)

    def fold(self, event: Event) -> tuple[Row | None, Row | None]:
        """Store an event. Return the begun step's Row and the ended step's Row; each may be None."""
        name = event.get("step", "")
        began = None
        if event["event"] == "group" or (event["event"] == "step" and name not in self.rows):
            hosts = event["hosts"] if "hosts" in event else [event["host"]]
            began = self.rows[name] = Row(
                name,
                dict.fromkeys(hosts, "start"),
                event.get("limit", 0),
                event.get("at", 0),
                roles=event.get("roles", []),
            )
        if event["event"] == "waiting" and "host" in event:
            for row in self.rows.values():
                row.add_event(event)
        if event["event"] != "step":
            return began, None
        self.rows[name].add_event(event)
        return began, self.rows.pop(name) if self.rows[name].is_over() else None


class Terminal(Lines):
    """Redraws the lines of running steps in place. All other lines stay above them."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self.drawn = 0
        self.above: list[str] = []

    def tell(self, event: Event, waiting: bool = False) -> None:
        """Draw what an event changes. If `waiting` is True, other events wait: do not draw yet."""
        width, height = shutil.get_terminal_size()
        _, ended = self.fold(event)
        self.above += [ended.draw(0, width)] if ended else []
        self.above += [visible(text)] if (text := line(event)) else []
        if waiting:
            return
        up = f"\033[{self.drawn}F\033[J" if self.drawn else ""
        rows = [row.draw(event.get("at", 0), width) for row in self.rows.values()][: height - 1]
        if up or rows or self.above:
            put(up + "\n".join([*self.above, *rows]), self.out)
        self.drawn = len(rows)
        self.above = []
