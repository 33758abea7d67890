"""A picture of a command's final output on a terminal: `python -m pictures.terminal FILE.svg COMMAND…`."""

import os
import pty
import re
import shlex
import sys
from pathlib import Path
from xml.sax.saxutils import escape

ROWS, COLUMNS = 60, 100
# In the reader's colour scheme, dark or light.
STYLE = """
  .page { fill: #ffffff } .good { fill: #1a7f37 } .bad { fill: #cf222e }
  text { fill: #1d2733; font: 13px ui-monospace, Menlo, Consolas, monospace; white-space: pre }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .good { fill: #3fb950 } .bad { fill: #f85149 } text { fill: #e2e8ef }
  }
"""


def recorded(command):
    """Run a command on a terminal, which shows its output. Return all of it."""
    os.environ.update(COLUMNS=str(COLUMNS), LINES=str(ROWS))
    pieces = []

    def read(terminal):
        pieces.append(os.read(terminal, 65536))
        return pieces[-1]

    pty.spawn(command, read)
    return b"".join(pieces).decode(errors="replace").replace("\r\n", "\n")


def left(text):
    """Return the lines on the screen after each drawing has replaced the one before."""
    lines = []
    for part in re.split(r"(?=\033\[[0-9]+F\033\[J)", text):
        up = re.match(r"\033\[([0-9]+)F\033\[J", part)
        lines = lines[: -int(up[1])] if up else lines
        lines += part[up.end() if up else 0 :].splitlines()
    return [line for line in lines if not line.startswith("make[")]


def picture(lines, title):
    """Return the text of an SVG of these lines."""
    wide, high = COLUMNS * 8 + 32, len(lines) * 19 + 30
    shown = ""
    for number, line in enumerate(lines):
        text = escape(line).replace("✓", '<tspan class="good">✓</tspan>').replace("✗", '<tspan class="bad">✗</tspan>')
        shown += f'<text xml:space="preserve" x="16" y="{30 + number * 19}">{text}</text>\n'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"
     role="img">
<title>{escape(title)}</title>
<style>{STYLE}</style>
<rect class="page" width="{wide}" height="{high}"/>
{shown}</svg>
"""


def main(path, *command):
    """Run the command, and write the picture."""
    shown = shlex.join(command).replace("'", '"')
    Path(path).write_text(picture([f"$ {shown}", *left(recorded(command))], shown))


if __name__ == "__main__":
    main(*sys.argv[1:])
