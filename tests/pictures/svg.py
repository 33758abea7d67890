"""SVG in the reader's colour scheme, dark or light."""

from dataclasses import dataclass
from xml.sax.saxutils import escape

STYLE = """
  .page { fill: #ffffff } .box { fill: #eef3f8; stroke: #5b7083 } .live { fill: #d5ecd9; stroke: #2f7d4a }
  .idle { fill: #f4f4f4; stroke: #999999; stroke-dasharray: 4 3 } .arrow { stroke: #44546a; fill: none }
  text { fill: #1d2733; font: 14px sans-serif } .small { font-size: 12px; fill: #4a5a6a } .head { fill: #44546a }
  .screen { font: 13px ui-monospace, Menlo, Consolas, monospace; white-space: pre } .good { fill: #1a7f37 }
  .bad { fill: #cf222e }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .box { fill: #1c2733; stroke: #8fa6bb } .live { fill: #16371f; stroke: #4fb36f }
    .idle { fill: #1b1e23; stroke: #777777 } .arrow { stroke: #9fb3c8 } .head { fill: #9fb3c8 }
    text { fill: #e2e8ef } .small { fill: #a7b6c5 } .good { fill: #3fb950 } .bad { fill: #f85149 }
  }
"""


@dataclass(frozen=True)
class Box:
    """A part of a picture: its place, its name, its function, and a class of STYLE."""

    x: int
    y: int
    wide: int
    high: int
    name: str
    does: str = ""
    kind: str = "box"

    def svg(self):
        y = self.y + (24 if self.does else self.high // 2 + 5)
        lines = "".join(f'<text class="small" x="{self.x + 12}" y="{y + 18 * n}">{escape(line)}</text>'
                        for n, line in enumerate(self.does.split("\n"), 1) if line)
        return (f'<rect class="{self.kind}" x="{self.x}" y="{self.y}" width="{self.wide}" height="{self.high}" rx="6"/>'
                f'<text x="{self.x + 12}" y="{y}">{escape(self.name)}</text>{lines}')


def arrow(x1, y1, x2, y2, text="", dashed=False):
    """Return a line with an arrowhead at its end, and a text beside its middle."""
    more = ' stroke-dasharray="4 3"' if dashed else ""
    said = f'<text class="small" x="{(x1 + x2) // 2 + 20}" y="{(y1 + y2) // 2 + 4}">{escape(text)}</text>'
    line = f'<line class="arrow" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" marker-end="url(#head)"{more}/>'
    return line + said * bool(text)


def page(wide, high, parts, title):
    """Return the text of an SVG."""
    shown = "\n".join(part if isinstance(part, str) else part.svg() for part in parts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"
     role="img">
<title>{escape(title)}</title>
<style>{STYLE}</style>
<defs><marker id="head" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">
<path class="head" d="M0,0 L9,4 L0,8 z"/></marker></defs>
<rect class="page" width="{wide}" height="{high}"/>
{shown}
</svg>
"""


def screen(lines, title):
    """Return the text of an SVG of a terminal's lines."""
    wide, high = 100 * 8 + 32, len(lines) * 19 + 30
    shown = []
    for number, line in enumerate(lines):
        text = escape(line).replace("✓", '<tspan class="good">✓</tspan>').replace("✗", '<tspan class="bad">✗</tspan>')
        shown.append(f'<text class="screen" xml:space="preserve" x="16" y="{30 + number * 19}">{text}</text>')
    return page(wide, high, shown, title)
