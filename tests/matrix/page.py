"""The pages of the fault matrix in docs/: a summary for each fault, and a file with all cells."""

import re
import textwrap
from collections import Counter

from matrix.columns import FAULTS, LEFT_OUT
from proc import ROOT

HEAD = """# Fault matrix

`make faults` runs each cell on servers in containers: a deploy or a rollback on two web hosts, a worker and a balancer,
under 40 requests a second, to which a fault happens at a step. The {cells} cells are in [faults.tsv](faults.tsv), of
commit {commit}, on a busy machine. The rules: no visitor fails, only the old and the new release answer, all hosts end
on one of them with nothing left, and the exit code says on which. [Invariant 3](design.md#invariants) has exceptions.
{systems}

| fault | cells | requests | failed | exit 0 | slowest until whole | rules broken |
|---|---|---|---|---|---|---|
"""
REASON = 60  # characters of the reason of a broken rule; the file has it whole
# `note` is written by hand: what has become of a broken rule. The page then has it in place of the reason.
REPORTED = ("action", "step", "fault", "requests", "failed", "code", "release", "seconds", "wrong", "system", "commit")
COLUMNS = (*REPORTED, "note")
FILE, PAGE = ROOT / "docs/faults.tsv", ROOT / "docs/faults.md"


def write(reports):
    """Write docs/faults.md and docs/faults.tsv from the reports of all cells, as dicts."""
    reports = sorted(reports, key=lambda report: [*FAULTS].index(report["fault"]))
    lines = ["\t".join(COLUMNS), *("\t".join([*(text(report[name]) for name in REPORTED), ""]) for report in reports)]
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_page()


def write_page():
    """Write docs/faults.md from docs/faults.tsv."""
    PAGE.write_text(page(read()), encoding="utf-8")


def read():
    """Return the lines of docs/faults.tsv as dicts of texts."""
    names, *lines = (line.split("\t") for line in FILE.read_text(encoding="utf-8").splitlines())
    return [dict(zip(names, line, strict=True)) for line in lines]


def page(cells):
    """Return the text of docs/faults.md."""
    [commit] = {cell["commit"] for cell in cells}
    head = HEAD.format(cells=len(cells), commit=commit[:8], systems=systems(cells))
    return head + "".join(row(name, cells) for name in FAULTS) + broken(cells) + foot()


def text(value):
    """Return a cell of the file with all: {cause: number} and lists without their marks."""
    pairs = [f"{key} {number}" for key, number in value.items()] if isinstance(value, dict) else value
    return " ".join(("; ".join(pairs) if isinstance(pairs, list) else str(pairs)).split())


def systems(cells):
    """Return how many cells of each action each system has had, also if it had none."""
    counted = Counter((cell["action"], cell["system"]) for cell in cells)
    actions, names = (sorted(set(keys)) for keys in zip(*counted, strict=True))
    each = [f"{' and '.join(f'{counted[action, name]} {action}s' for action in actions)} on {name}" for name in names]
    return wrapped(f"Hosts: {'; '.join(each)}.")


def wrapped(line, indent=""):
    return textwrap.fill(line, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def failed(cell):
    """Return the number of requests that failed, by whatever cause."""
    return sum(int(number) for number in re.findall(r" (\d+)(?:; |$)", cell["failed"]))


def row(name, cells):
    """Return the row of a fault."""
    cells = [cell for cell in cells if cell["fault"] == name]
    lost = sum(map(failed, cells))
    texts = [
        name,
        str(len(cells)),
        f"{sum(int(cell['requests']) for cell in cells):,}",
        f"{lost}{f': {FAULTS[name].loses}' if lost and FAULTS[name].loses else ''}",
        str(sum(cell["code"] == "0" for cell in cells)),
        f"{max(float(cell['seconds']) for cell in cells):.0f} s",
        str(sum(bool(cell["wrong"]) for cell in cells)),
    ]
    return f"| {' | '.join(texts)} |\n"


def broken(cells):
    """Return a list of the cells that broke a rule, with the note on it, else the reason."""
    lines = [
        f"- {cell['fault']}, at `{cell['step']}` of a {cell['action']}: {cell['note'] or cell['wrong'][:REASON]}"
        for cell in cells
        if cell["wrong"]
    ]
    return "".join(["\nBroken rules:\n\n", *(wrapped(line, "  ") + "\n" for line in lines)]) if lines else ""


def foot():
    return "\nNot in the matrix:\n\n" + "".join(f"- {what}: {why}\n" for what, why in LEFT_OUT.items())
