"""A picture of a command's final output on a terminal: `python -m pictures.terminal FILE.svg COMMAND…`."""

import fcntl
import os
import pty
import re
import shlex
import struct
import sys
import termios
from pathlib import Path

from pictures.svg import screen

ROWS, COLUMNS = 60, 100


def recorded(command):
    """Return all output of a command on a terminal of that size."""
    pid, terminal = pty.fork()
    if not pid:
        os.environ["COLUMNS"] = str(COLUMNS)  # the size below may come too late
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    pieces = []
    try:
        while piece := os.read(terminal, 65536):
            pieces.append(piece)
    except OSError:  # Linux has no end of file for a terminal
        os.waitpid(pid, 0)
    return b"".join(pieces).decode(errors="replace").replace("\r\n", "\n")


def left(text):
    """Return the lines on the screen after each drawing has replaced the one before."""
    lines = []
    for part in re.split(r"(?=\033\[[0-9]+F\033\[J)", text):
        up = re.match(r"\033\[([0-9]+)F\033\[J", part)
        lines = lines[:-int(up[1])] if up else lines
        lines += part[up.end() if up else 0:].splitlines()
    return [line for line in lines if not line.startswith("make[")]


def main(path, *command):
    """Run the command, print its output, and write the picture."""
    shown = shlex.join(command).replace("'", '"')
    lines = [f"$ {shown}", *left(recorded(command))]
    print(*lines, sep="\n")
    Path(path).write_text(screen(lines, shown))


if __name__ == "__main__":
    main(*sys.argv[1:])
