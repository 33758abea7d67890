"""The screen of the demo: visitors, the acts, and what the running command prints. It can be recorded."""

import shutil
import sys
import threading
import time

EVERY = 0.25  # seconds between two pictures
ROWS, COLUMNS = 24, 96
BAR = 40  # letters of the longest bar
STYLES = {"bold": "1", "dim": "2", "green": "32", "red": "31;1", "blue": "34;1", "": "0"}


class Screen:
    """Draws until the block ends: `with Screen(title) as screen: …`. A row is (style, text). Without a terminal it
    prints each act alone. `pictures`: all that were drawn, as (seconds, rows)."""

    def __init__(self, title):
        self.title, self.note, self.acts, self.output, self.visitors = title, "", [], [], None
        self.pictures, self.began, self.ended = [], time.monotonic(), threading.Event()
        self.live = sys.stdout.isatty()

    def __enter__(self):
        self.drawing = threading.Thread(target=self.keep_drawing)
        self.drawing.start()
        return self

    def __exit__(self, *unused):
        self.ended.set()
        self.drawing.join()

    # ---- what the story tells ----

    def begin(self, text):
        self.acts.append({"text": text, "began": time.monotonic(), "state": "runs", "seconds": 0.0})
        self.output = []
        if not self.live:
            print(text, flush=True)

    def end(self, state="done"):
        act = self.acts[-1]
        act["state"], act["seconds"] = state, time.monotonic() - act["began"]
        if not self.live:
            print(f"    {state} after {act['seconds']:.1f} s", flush=True)

    def hear(self, line):
        """Show a line of the command that runs."""
        self.output.append(line.rstrip())

    # ---- pictures ----

    def keep_drawing(self):
        if self.live:
            sys.stdout.write("\x1b[2J")
        while not self.ended.wait(EVERY):
            self.draw()
        self.draw()

    def draw(self):
        rows = self.rows()
        self.pictures.append((time.monotonic() - self.began, rows))
        if self.live:
            width = shutil.get_terminal_size().columns
            lines = [f"\x1b[{STYLES[style]}m{text[:width]}\x1b[0m\x1b[K" for style, text in rows]
            sys.stdout.write("\x1b[H" + "\r\n".join(lines) + "\x1b[J")
            sys.stdout.flush()

    def rows(self):
        head = [("bold", self.title), ("dim", self.note), *self.rows_of_visitors(), ("", "")]
        acts = [row_of_act(act) for act in self.acts]
        room = ROWS - len(head) - len(acts) - 1
        output = [("dim", f"      {line}") for line in self.output[-room:]] if room > 0 else []
        return [(style, text[:COLUMNS]) for style, text in [*head, *acts, *output]][:ROWS]

    def rows_of_visitors(self):
        if not self.visitors:
            return []
        served, failed = dict(self.visitors.served), sum(self.visitors.failed.values())
        most = max(served.values(), default=1)
        style = "red" if failed else "green"
        counts = [("", ""), (style, f"  visitors served {sum(served.values()):>6,}      failed {failed:>4}")]
        return counts + [bar(release, count, most) for release, count in sorted(served.items())]


def bar(release, count, most):
    return "blue", f"    by {release}  {'█' * max(1, round(BAR * count / most))} {count:,}"


def row_of_act(act):
    if act["state"] == "runs":
        return "bold", f"  ▸ {act['text']}  {time.monotonic() - act['began']:.0f} s"
    mark, style = ("✓", "green") if act["state"] == "done" else ("✗", "red")
    return style, f"  {mark} {act['text']}  {act['seconds']:.1f} s"
