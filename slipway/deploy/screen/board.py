"""What `watch` shows: on a terminal a table that lives, below what has changed; elsewhere a line for each change."""

import shutil
import sys
import time
from typing import Any, TextIO

from ..ssh.validate import Event, visible
from .display import Background, Draw, Json, Lines, line, put
from .tables import Row, table

RED, PLAIN = "\033[31m", "\033[0m"
GB, DAY = 2**30, 86_400
Shaded = tuple[str, bool]  # a line, and whether it is of what is amiss


class Shown(Background):
    """`live`: it draws whatever is heard."""

    def __init__(self, draw: Draw, live: bool = False) -> None:
        super().__init__(draw)
        self.live = live


def choose(as_json: bool, once: bool = False, out: TextIO | None = None) -> Shown:
    """The display for an output. `once`: whoever asks for one look is shown all of it."""
    out = out or sys.stdout
    if as_json:
        return Shown(Json(out).tell)
    return Shown(Board(out, once).tell, not once) if once or out.isatty() else Shown(Lines(out).tell)


class Board(Lines):
    """Hosts and rules as a table, drawn over the last one; what has changed is printed above it. `once`: it is drawn
    once, and nothing else is."""

    def __init__(self, out: TextIO, once: bool = False) -> None:
        super().__init__(out)
        self.once, self.drawn, self.rows = once, 0, list[Shaded]()

    def tell(self, event: Event, more: bool = False) -> None:
        """Draw what an event changes, or leave that to those that come, if there are `more`."""
        if event["event"] == "look":
            self.rows = rows(event)
            if self.once or not more:
                self.draw()
        elif line(event) and not self.once:
            self.draw(f"{time.strftime('%H:%M:%S')} {visible(line(event))}")

    def draw(self, above: str = "") -> None:
        """Draw the table over the last one, after a line that stays."""
        up = f"\033[{self.drawn}F\033[J" if self.drawn else ""
        live = self.out.isatty()
        width, height = shutil.get_terminal_size()
        found = fit(self.rows, width - 1, height - 2) if live else self.rows
        lines = [RED + text + PLAIN if bad and live else text for text, bad in found]
        put(up + "\n".join([*([above] if above else []), *lines]), self.out)
        self.drawn = len(lines)


def rows(event: Event) -> list[Shaded]:
    """The lines of a look."""
    hosts = [(host_row(name, host), bool(host["problem"])) for name, host in event["hosts"].items()]
    rules = [(rule_row(name, rule), rule["alert"] or rule["broken"]) for name, rule in event["rules"].items()]
    return [*shaded(("host", "up", "free", "state"), hosts), ("", False),
            *shaded(("rule", "limit", "state", "now"), rules)]


def shaded(head: Row, found: list[tuple[Row, bool]]) -> list[Shaded]:
    """A table's lines."""
    texts = visible(table([head, *(row for row, _ in found)])).split("\n")
    return list(zip(texts, [False, *(bad for _, bad in found)]))


def host_row(name: str, host: dict[str, Any]) -> Row:
    """A host's line: how it is, how long ago it last was up, its least free disk."""
    free = "-" if host["free"] is None else f"{host['free'] / GB:.1f} GB"
    seen = "-" if host["seen"] is None else f"{ago(host['seen'])} ago"
    return name, seen, free, host["problem"] or "up"


def rule_row(name: str, rule: dict[str, Any]) -> Row:
    """A rule's line. It is BROKEN from its alert until that is over."""
    since = f" for {ago(rule['since'])}" if rule["since"] is not None else ""
    if rule["alert"]:
        state = f"BROKEN{since}, kept now" if rule["kept"] else f"BROKEN{since}"
    else:
        state = f"broken{since}" if rule["broken"] else "-" if rule["now"] == "-" else "kept"
    about = f": {', '.join(rule['about'])}" if rule["about"] and rule["broken"] else ""
    return name, rule["limit"], state, rule["now"] + about


def ago(seconds: float) -> str:
    """Some seconds in words."""
    for unit, name in ((1, "s"), (60, "min"), (3600, "h")):
        if seconds < 120 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / DAY:.0f} days"


def fit(found: list[Shaded], width: int, height: int) -> list[Shaded]:
    """The lines as far as a terminal has room: what is amiss goes before what is well, the last lines, of the rules,
    before the first. One that wraps could not be drawn over."""
    cut = [(text[:width], bad) for text, bad in found]
    if len(cut) <= height:
        return cut
    first = sorted(range(len(cut)), key=lambda number: (not cut[number][1], -number))[:max(0, height - 1)]
    return [*(cut[number] for number in sorted(first)), (f"and {len(cut) - len(first)} lines"[:width], False)]
