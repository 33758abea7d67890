"""What a deploy shows: a live table on a terminal, plain lines elsewhere, or every event as JSON for machines."""

import json
import os
import shutil
import sys
import threading
import time

from .answers import visible

SHOWN = ("lock", "begin", "pull", "verdicts", "publish", "migrate", "start", "ready", "pause", "flip", "watch", "beat",
         "prepare", "promise", "commit")
MARKS = {"start": "…", "done": "✓", "failed": "✗"}


def choose(as_json, out=None):
    """The display that fits where the output goes."""
    out = out or sys.stdout
    if as_json:
        return Json(out)
    return Table(out) if out.isatty() else Lines(out)


def put(text, out):
    """Print it. Whoever reads may have gone, or the disk that takes it be full: no reason to leave a deploy half done,
    whose exit code tells the rest."""
    try:
        print(text, file=out, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())  # or what is left would fail again at the end


class Json:
    """Every event as a line, with the time it came."""

    def __init__(self, out):
        self.out, self.lock = out, threading.Lock()

    def tell(self, event):
        with self.lock:
            put(json.dumps({"at": round(time.time(), 3), **event}), self.out)

    def close(self):
        pass


class Lines:
    """A line for each step that has ended on a host, and for everything else that matters."""

    def __init__(self, out):
        self.out, self.lock = out, threading.Lock()

    def tell(self, event):
        text = line(event)
        if text:
            with self.lock:
                put(visible(text), self.out)

    def close(self):
        pass


class Table(Lines):
    """A line a host that changes in place, above which everything else is told."""

    def __init__(self, out):
        super().__init__(out)
        self.hosts, self.drawn = {}, 0

    def tell(self, event):
        with self.lock:
            if event["event"] == "step":
                self.hosts.setdefault(event["host"], {})[event["step"]] = event["state"]
                self.draw()
            elif line(event):
                self.draw(line(event))

    def draw(self, above=None):
        up = f"\033[{self.drawn}F\033[J" if self.drawn else ""
        width = shutil.get_terminal_size().columns
        rows = [row(name, steps, width) for name, steps in sorted(self.hosts.items())]
        put(up + "\n".join([*([visible(above)] if above else []), *rows]), self.out)
        self.drawn = len(rows)


def row(name, steps, width):
    """A host's line of the table: its latest steps, as many as fit, as one that wraps could not be drawn over."""
    words = [f"{step} {MARKS[steps[step]]}" for step in SHOWN if step in steps]
    while len(words) > 1 and len(name.ljust(12)) + len(" ".join(words)) + 1 >= width:
        del words[0]
    return f"{name:12} {' '.join(words)}"


def line(event):
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


def timings(seconds):
    """The table for --timings, of (step, host) → seconds: a line a step, a column a host."""
    hosts = sorted({host for _, host in seconds})
    steps = list(dict.fromkeys(step for step, _ in seconds))
    head = f"{'seconds':10}" + "".join(f"{host:>12}" for host in hosts)
    return "\n".join([head, *(f"{step:10}" + "".join(
        f"{seconds[step, host]:12.2f}" if (step, host) in seconds else " " * 12 for host in hosts) for step in steps)])
