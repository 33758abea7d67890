"""--timings: when each step began on each host and how long it took, as bars. Pure: spans in, lines or an SVG out."""

import html
from collections.abc import Iterator, Sequence

from ..ssh.spans import Span

HERE = "deployer"
MOST = 8  # hosts that a terminal shows
PARTS = " ▏▎▍▌▋▊▉"  # eighths of a column
LEAST = 8  # columns for bars, however narrow the terminal
NARROW = 60  # columns: below, a line does not say when its step began
PAPER = {"width": 960, "left": 150, "right": 120, "row": 18, "top": 28}  # pixels


def by_host(spans: Sequence[Span]) -> dict[str, list[Span]]:
    """Host → its spans as they began: first this machine's, then by name."""
    return {host: sorted((span for span in spans if span.host == host), key=lambda span: (span.began, span.ended))
            for host in sorted({span.host for span in spans})}


def slowest(hosts: dict[str, list[Span]], most: int) -> dict[str, list[Span]]:
    """Of the servers those that ended last, so many at most; and this machine."""
    last = sorted(filter(None, hosts), key=lambda host: max(span.ended for span in hosts[host]))[-most:]
    return {host: spans for host, spans in hosts.items() if not host or host in last}


def ticks(end: float, most: int) -> list[float]:
    """At most so many round figures from 0 to `end`, evenly apart."""
    sizes = (digit * 10 ** power for power in range(-2, 6) for digit in (1, 2, 5))
    apart = next((size for size in sizes if end / size < most), end)
    return [number * apart for number in range(int(end / apart + 1e-9) + 1)]


# ---- for a terminal ----

def lines(spans: Sequence[Span], width: int) -> list[str]:
    """A line for each span, host by host, none longer than `width`: of many hosts only the slowest."""
    hosts, end = by_host(spans), max((span.ended for span in spans), default=0) or 1
    names, wide = max((len(span.step) for span in spans), default=0) + 3, width >= NARROW
    room = max(LEAST, width - names - (16 if wide else 9))
    shown = slowest(hosts, MOST)
    found = [f"{'':{names}}{axis(end, room)} {'   from   took' if wide else '   took'}"]
    for host, rows in shown.items():
        found.append((host or HERE)[:width - 1])
        found += [f"  {span.step:{names - 2}}{bar(span, end, room):{room}} "
                  f"{f'{span.began:7.2f}' if wide else ''}{span.seconds:7.2f}" for span in rows]
    if len(shown) < len(hosts):
        found.append(f"and {len(hosts) - len(shown)} hosts that ended sooner: --timings FILE.svg shows all")
    return found


def axis(end: float, room: int) -> str:
    """Seconds above the columns they stand for."""
    text = ""
    for tick in ticks(end, max(2, room // 8)):
        at, figure = int(tick / end * room), f"{tick:g}"
        if at + len(figure) <= room:
            text = text.ljust(at) + figure
    return text.ljust(room)


def bar(span: Span, end: float, room: int) -> str:
    """A span as a bar in `room` columns that stand for `end` seconds; never nothing."""
    first, last = min(int(span.began / end * room), room - 1), span.ended / end * room
    full, eighths = divmod(round(max(last - first, 0.125) * 8), 8)
    return " " * first + ("█" * full + PARTS[eighths].strip())[:room - first]


# ---- for a file ----

def svg(spans: Sequence[Span]) -> str:
    """The same of all hosts as an SVG's text. Each bar tells its figures to who points at it."""
    hosts, end = by_host(spans), max((span.ended for span in spans), default=0) or 1
    scale = (PAPER["width"] - PAPER["left"] - PAPER["right"]) / end
    rows = len(hosts) + sum(map(len, hosts.values()))
    height = PAPER["top"] + rows * PAPER["row"] + 8
    shapes = [*grid(end, scale, height), *drawn(hosts, scale)]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{PAPER["width"]}" height="{height}"'
            f' font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n'
            + "\n".join(shapes) + "\n</svg>\n")


def grid(end: float, scale: float, height: int) -> Iterator[str]:
    """A line from top to bottom at round figures of seconds."""
    for tick in ticks(end, 12):
        x = PAPER["left"] + tick * scale
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="20" y2="{height - 4}" stroke="#ddd"/>'
        yield f'<text x="{x:.1f}" y="14" text-anchor="middle" fill="#666">{tick:g} s</text>'


def drawn(hosts: dict[str, list[Span]], scale: float) -> Iterator[str]:
    """Hosts' names and their bars, from top to bottom."""
    y = PAPER["top"]
    for host, spans in hosts.items():
        yield f'<text x="8" y="{y + 13}" font-weight="bold">{html.escape(host or HERE)}</text>'
        y += PAPER["row"]
        for span in spans:
            yield from one(span, y, scale)
            y += PAPER["row"]


def one(span: Span, y: int, scale: float) -> Iterator[str]:
    """A step's name, its bar, its seconds."""
    step, x, width = html.escape(span.step), PAPER["left"] + span.began * scale, max(span.seconds * scale, 1)
    yield f'<text x="20" y="{y + 13}">{step}</text>'
    yield (f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="{PAPER["row"] - 6}" rx="2" fill="#4878a8">'
           f"<title>{step}: from {span.began:.2f} to {span.ended:.2f} s</title></rect>")
    yield f'<text x="{x + width + 4:.1f}" y="{y + 13}" fill="#333">{span.seconds:.2f}</text>'
