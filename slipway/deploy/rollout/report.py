"""Tells why a rollout failed: the failed step, the app's answer, and the end of its log. Does no I/O."""

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from ..errors import HostProblem, indent
from ..log.lines import format_line

LOG = 45  # lines of a log that are shown, at most
SHORT = 10  # lines of a log after which the cause need not be repeated
UNSEEN = re.compile(r"<!--.*?(?:-->|\Z)|<(script|style|title)\b.*?</\1>|<[^>]*>?", re.DOTALL)
TITLE = re.compile(r"<title[^>]*>([^<]+)")
TRACEBACK = "Traceback (most recent call last)"


def report(problem: HostProblem) -> str:
    """Return the cause, which stands first and, after a long log, also last; between them what the app said."""
    cause = f"{problem.host}: {problem.step}: {str(problem)[:2000]}"
    log = [f"  | {line[:2000]}" for line in fold_repeats(log_entries(problem.details.get("log", ())))][-LOG:]
    answer = [f"  it answered: {words}" for words in [text_of_answer(problem.details.get("body", ""))] if words]
    lines = [cause, *answer, *log, *([cause] if len(log) > SHORT else [])]
    return "\n".join(map(indent, lines))


def cause_of(problem: HostProblem) -> str:
    """Return in one line what failed, with the last exception of the app's log, or else its last line."""
    logged = [*log_entries(problem.details.get("log", ()))]
    last = ([entry for entry in logged if TRACEBACK in entry] or logged)[-1:]
    lines = [str(problem), *(entry.rstrip().rpartition("\n")[2] for entry in last)]
    shown = lines[:1] if lines[-1] in lines[0] else lines
    return ": ".join([*filter(None, [problem.host, problem.step]), *shown])


def text_of_answer(body: str) -> str:
    """Return an answer's text; of a page only its title, or else its first words."""
    if body.lstrip().startswith("<"):
        title = TITLE.search(body)
        body = html.unescape(title[1] if title else UNSEEN.sub(" ", body)).strip()[:200] or "a page"
    return " ".join(body.split())[:500]


def log_entries(log: Iterable[str]) -> Iterator[str]:
    """Yield a log's entries: a traceback is one entry, though it may have been logged as many lines."""
    lines: list[str] = []
    for line in log:
        if lines and not line.startswith(" "):
            yield "\n".join([*lines, line])  # a traceback ends with its exception
            lines = []
        elif lines or line.startswith(TRACEBACK):
            lines.append(line)
        else:
            yield format_line(line)
    yield from filter(None, ["\n".join(lines)])


def fold_repeats(logged: Iterable[str]) -> list[str]:
    """Return the lines of the entries. Of equal entries only the last is shown, with their number."""
    texts = [*logged]
    times = Counter(texts)
    last = {text: at for at, text in enumerate(texts)}
    return [
        line
        for at, text in enumerate(texts)
        if last[text] == at
        for line in [*([f"({times[text]} times)"] if times[text] > 1 else []), *text.split("\n")]
    ]
