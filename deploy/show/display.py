"""What a deploy shows: a live table on a terminal, plain lines elsewhere, or every event as JSON for machines."""

import json
import os
import queue
import shutil
import sys
import threading
import time
from typing import Protocol, TextIO

from ..decide.plan import KINDS
from ..reach.answers import Event, visible

SHOWN = ("lock", *(name for name in KINDS if name != "prune"))
MARKS = {"start": "…", "done": "✓", "failed": "✗"}


class Display(Protocol):
    """Is told of all events."""

    def tell(self, event: Event) -> None: ...


def choose(as_json: bool, out: TextIO | None = None) -> "Background":
    """The display that fits where the output goes."""
    out = out or sys.stdout
    return Background(Json(out) if as_json else Table(out) if out.isatty() else Lines(out))


class Background:
    """Has another display draw in a thread of its own: a terminal that nobody reads holds nothing up."""

    def __init__(self, display: Display) -> None:
        self.display, self.events = display, queue.SimpleQueue[Event | None]()
        self.thread = threading.Thread(target=self._draw, daemon=True)
        self.thread.start()

    def tell(self, event: Event) -> None:
        self.events.put({"at": round(time.time(), 3), **event})

    def close(self, limit: float = 5) -> None:
        """Wait until all is drawn, but not for ever."""
        self.events.put(None)
        self.thread.join(limit)

    def _draw(self) -> None:
        for event in iter(self.events.get, None):
            self.display.tell(event)


def put(text: str, out: TextIO) -> None:
    """Print it. Whoever reads may have gone, or the disk that takes it be full: no reason to leave a deploy half done,
    whose exit code tells the rest."""
    try:
        write(text + "\n", out)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())  # or what is left would fail again at the end


def write(text: str, out: TextIO) -> None:
    """Not by its buffer, for whose lock the end of the deployer would wait if a thread had it then."""
    try:
        number = out.fileno()
    except OSError:  # a test's
        out.write(text)
        return
    out.flush()
    data = text.encode(out.encoding, "backslashreplace")
    while data:
        data = data[os.write(number, data):]


class Json:
    """Every event as a line, with the time it came."""

    def __init__(self, out: TextIO) -> None:
        self.out = out

    def tell(self, event: Event) -> None:
        put(json.dumps({"at": round(time.time(), 3), **event}), self.out)


class Lines:
    """A line for each step that has ended on a host, and for everything else that matters."""

    def __init__(self, out: TextIO) -> None:
        self.out = out

    def tell(self, event: Event) -> None:
        text = line(event)
        if text:
            put(visible(text), self.out)


class Table(Lines):
    """A line a host that changes in place, above which everything else is told."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self.hosts: dict[str, dict[str, str]] = {}
        self.drawn = 0

    def tell(self, event: Event) -> None:
        if event["event"] == "step":
            self.hosts.setdefault(event["host"], {})[event["step"]] = event["state"]
            self.draw()
        elif line(event):
            self.draw(line(event))

    def draw(self, above: str = "") -> None:
        up = f"\033[{self.drawn}F\033[J" if self.drawn else ""
        width = shutil.get_terminal_size().columns
        rows = [row(name, steps, width) for name, steps in sorted(self.hosts.items())]
        put(up + "\n".join([*([visible(above)] if above else []), *rows]), self.out)
        self.drawn = len(rows)


def row(name: str, steps: dict[str, str], width: int) -> str:
    """A host's line of the table: its latest steps, as many as fit, as one that wraps could not be drawn over."""
    words = [f"{step} {MARKS[steps[step]]}" for step in SHOWN if step in steps]
    while len(words) > 1 and len(name.ljust(12)) + len(" ".join(words)) + 1 >= width:
        del words[0]
    return f"{name:12} {' '.join(words)}"


def line(event: Event) -> str:
    """An event as a line for people; "" where it is not worth one."""
    kind, host = event["event"], event.get("host", "")
    if kind == "step":
        return f"{host}: {event['step']} {event['state']} ({event['seconds']:.1f} s)" if "seconds" in event else ""
    if kind == "takeback" and "problem" in event:
        return f"{host}: takeback: {event['problem']}"
    if kind == "takeback" and "hosts" in event:
        return f"taking back: {', '.join(event['hosts']) or 'nothing was begun'}"
    if kind == "skipped":
        return f"{host}: SKIPPED, {event['problem']}; it catches up with the next deploy"
    return event.get("text", "") and f"{host}: {event['text']}".removeprefix(": ")


def timings(seconds: dict[tuple[str, str], float]) -> str:
    """The table for --timings, of (step, host) → seconds: a line a step, a column a host."""
    hosts = sorted({host for _, host in seconds})
    steps = list(dict.fromkeys(step for step, _ in seconds))
    head = f"{'seconds':10}" + "".join(f"{host:>12}" for host in hosts)
    return "\n".join([head, *(f"{step:10}" + "".join(
        f"{seconds[step, host]:12.2f}" if (step, host) in seconds else " " * 12 for host in hosts) for step in steps)])
