"""What a deploy shows: a live table on a terminal, plain lines elsewhere, or every event as JSON for machines."""

import json
import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

from ..errors import under
from ..rollout.plan import STEP_KINDS
from ..ssh.validate import Event, visible

SHOWN = ("lock", *STEP_KINDS)
MARKS = {"start": "…", "done": "✓", "failed": "✗"}
Draw = Callable[[Event, bool], None]
Steps = dict[str, tuple[str, float]]  # name → how far it is, the seconds it took


def choose(as_json: bool, out: TextIO | None = None) -> "Background":
    """The display for an output: JSON, a live table on a terminal, or lines."""
    out = out or sys.stdout
    display = Lines(out, json.dumps) if as_json else Table(out) if out.isatty() else Lines(out)
    return Background(display.tell)


class Background:
    """Calls `draw` for each event in a thread, so that a terminal that nobody reads holds nothing up."""

    def __init__(self, draw: "Draw") -> None:
        self.draw, self.events = draw, queue.SimpleQueue[Event | None]()
        self.thread = threading.Thread(target=self._draw, daemon=True)
        self.thread.start()

    def tell(self, event: Event) -> None:
        """Note an event, with the time it came."""
        self.events.put({"at": round(time.time(), 3), **event})

    def close(self, limit: float = 5) -> None:
        """Wait until all is drawn, for at most `limit` seconds."""
        self.events.put(None)
        self.thread.join(limit)

    def _draw(self) -> None:
        for event in iter(self.events.get, None):
            self.draw(event, self.events.qsize() > 1)  # the last may be close's


def put(text: str, out: TextIO) -> None:
    """Print a text. An output that is closed or full raises nothing: it must not leave a deploy half done."""
    try:
        write(text + "\n", out)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())  # or the flush at exit would fail again


def write(text: str, out: TextIO) -> None:
    """Write past the stream's buffer, whose lock a stuck thread may hold at the end. Raises OSError."""
    try:
        number = out.fileno()
    except OSError:  # a StringIO, in tests
        out.write(text)
        return
    out.flush()
    data = text.encode(out.encoding, "backslashreplace")
    while data:
        data = data[os.write(number, data):]


def line(event: Event) -> str:
    """An event as a line for people; "" for one that is not shown."""
    kind, host = event["event"], event.get("host", "")
    if kind == "step":
        return f"{host}: {event['step']} {event['state']} ({event['seconds']:.1f} s)" if "seconds" in event else ""
    if kind == "takeback" and "problem" in event:
        return under(f"{host}: takeback: {event['problem']}")
    if kind == "takeback" and "hosts" in event:
        return f"taking back: {', '.join(event['hosts']) or 'nothing was begun'}"
    if kind == "skipped":
        return under(f"{host}: SKIPPED, {event['problem']}; it catches up with the next deploy")
    return event.get("text", "") and under(f"{host}: {event['text']}".removeprefix(": "))


class Lines:
    """A line for each event of which there is a `text`: of steps that have ended on a host, and of everything else that
    people want to know; by json.dumps of every event."""

    def __init__(self, out: TextIO, text: Callable[[Event], str] = line) -> None:
        self.out, self.text = out, text

    def tell(self, event: Event, more: bool = False) -> None:
        """Print an event that is worth a line."""
        if text := self.text(event):
            put(visible(text), self.out)


class Table(Lines):
    """A line for each host that changes in place, as many as the terminal has; all else is printed above."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self.hosts: dict[str, Steps] = {}
        self.drawn = 0

    def tell(self, event: Event, more: bool = False) -> None:
        """Draw what an event changes, or leave that to those that come, if there are `more`."""
        if event["event"] == "step":
            self.hosts.setdefault(event["host"], {})[event["step"]] = event["state"], event.get("seconds", 0)
            if not more:
                self.draw()
        elif line(event):
            self.draw(line(event))

    def draw(self, above: str = "") -> None:
        """Draw the table over the last one, after a line that stays."""
        up = f"\033[{self.drawn}F\033[J" if self.drawn else ""
        width, height = shutil.get_terminal_size()
        rows = [row(name, steps, width) for name, steps in sorted(self.hosts.items())][:height - 1]
        put(up + "\n".join([*([visible(above)] if above else []), *rows]), self.out)
        self.drawn = len(rows)


def row(name: str, steps: Steps, width: int) -> str:
    """Return a host's line: seconds of its steps, and the latest of them, as many as fit without a wrap."""
    begin = f"{name:12} {sum(seconds for _, seconds in steps.values()):6.1f} s "
    words = [f"{step} {MARKS[steps[step][0]]}" for step in SHOWN if step in steps]
    while len(words) > 1 and len(begin) + len(" ".join(words)) >= width:
        del words[0]
    return begin + " ".join(words)
