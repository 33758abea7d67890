"""Read tracebacks that processes print as Python does, a line in each entry of the journal. Does no I/O."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from .groups import Group, cut_text, group_of_error

START = "Traceback (most recent call last):"
FRAME = re.compile(r'  File "([^"]+)", line (\d+)(?:, in (.+))?')
SOURCE = " " * 4  # begins a line of the source, which follows its frame and may read like an error
# An exception comes next that was raised while the one before was handled: only that one ended the process.
CHAIN = "During handling of the above exception", "The above exception was the direct cause"
# The last line. Lines of a log may begin so, too, but those follow no frame.
NAME = r"(?:[A-Za-z_][\w<>]*\.)+\w+|[A-Z]\w*[a-z]\w*"
END = re.compile(rf"({NAME})(?:: (.*)|$)")
# What journalctl searches for, besides the first line.
PATTERN = rf'^(  File "[^"]+", line \d|{CHAIN[0]}|{CHAIN[1]}|({NAME})(: |$))'
# Files that are not the project's own, as slipway.logs.logging has them.
FOREIGN = re.compile(r"^<|/(site|dist)-packages/|/lib/python3|\.(whl|zip)/|/slipway/")
MOST = 60  # frames that are kept
RECORD, PRINTED = "record", "printed"  # forms of an error


class Traceback(NamedTuple):
    """The first line's time; lines so far."""

    at: float
    lines: list[str]


class Tracebacks:
    """Collects lines of tracebacks by the process (`name`) that prints them."""

    def __init__(self) -> None:
        self.begun: dict[str, Traceback] = {}
        self.ended: dict[str, Traceback] = {}
        self.broken: list[tuple[str, Traceback]] = []  # whose last line was not found
        self.counts: dict[str, Counter[tuple[str, str]]] = {RECORD: Counter(), PRINTED: Counter()}

    def take(self, name: str, at: float, line: str) -> bool:
        """Return True if the line is one of a traceback."""
        begun = self.begun.get(name)
        if line == START:
            self.broken += [(name, begun)] if begun else []
            self.begun[name] = Traceback(at, [line])
        elif line.startswith(CHAIN):
            self.ended.pop(name, None)
        elif begun and FRAME.match(line):
            del begun.lines[1 : len(begun.lines) - MOST]
            begun.lines.append(line)
        elif begun and line.startswith(SOURCE):
            pass
        elif begun and len(begun.lines) > 1 and END.match(line):
            begun.lines.append(line)
            self.ended[name] = self.begun.pop(name)
        else:
            return False
        return True

    def whole(self, name: str = "") -> Iterator[tuple[str, Traceback]]:
        """Yield what has ended: of this process, or of all."""
        for each in [name] if name else [*self.ended]:
            if each in self.ended:
                yield each, self.ended.pop(each)

    def unread(self) -> list[tuple[str, Traceback]]:
        return [*self.broken, *self.begun.items()]

    def is_new(self, name: str, group: Group, form: str, other: str) -> bool:
        """Return False for an error that the process has told in the other form: the team's handler prints what
        Slipway's writes."""
        key = name, group["id"]
        self.counts[form][key] += 1
        return self.counts[form][key] > self.counts[other][key]


def group_of_traceback(at: float, role: str, lines: list[str]) -> Group:
    """Return the same group as of a record of this exception in Slipway's form."""
    frames = [match for match in map(FRAME.match, lines) if match]
    own = [frame for frame in frames if not FOREIGN.search(frame[1])]
    file, line, function = (own or frames)[-1].groups("")
    end = END.match(lines[-1])
    kind, message = (end[1].rpartition(".")[2], end[2] or "") if end else ("", "")
    place = f"{file.removeprefix('/app/')}:{line} {function}".rstrip()
    text = cut_text({"text": "\n".join(lines)}, "text", 12_000)
    return group_of_error(at, role, ("raised", kind, file, function), kind, place, message[:300], text=text)
