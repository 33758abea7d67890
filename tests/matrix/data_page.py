"""The pages of the data's matrix in docs/: a summary for each fault, and a file with all cells."""

from collections import Counter

from matrix.data_cells import all_cells
from matrix.data_faults import FAULTS, LEFT_OUT
from matrix.page import text, wrapped
from proc import ROOT

HEAD = """# Fault matrix of the data

`make faults ARGS=--data` runs each cell on a server in a container, whose backups go to another one by sftp: in the
middle of {actions}, early or late, a fault happens. A writer adds a row each 0.2 s that names the one
before. The {cells} cells, drawn from {all}, are in [faults-data.tsv](faults-data.tsv), of commit {commit}. The rules:
no row that was committed is lost, visitors are served, backups get well by themselves, nothing is left, and random
moments of those that `slipway backups` offers come back to the row. {systems}

| fault | cells | exit 0 | moments brought back | slowest until well | rules broken |
|---|---|---|---|---|---|
"""
COLUMNS = ("action", "part", "fault", "code", "rows", "moments", "seconds", "wrong", "system", "commit")
FILE, PAGE = ROOT / "docs/faults-data.tsv", ROOT / "docs/faults-data.md"


def write(reports):
    """Write docs/faults-data.md and docs/faults-data.tsv from the reports of all cells, as dicts."""
    reports = sorted(reports, key=lambda report: [*FAULTS].index(report["fault"]))
    lines = ["\t".join(COLUMNS), *("\t".join(text(report[name]) for name in COLUMNS) for report in reports)]
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_page()


def write_page():
    """Write docs/faults-data.md from docs/faults-data.tsv."""
    names, *lines = (line.split("\t") for line in FILE.read_text(encoding="utf-8").splitlines())
    PAGE.write_text(page([dict(zip(names, line, strict=True)) for line in lines]), encoding="utf-8")


def page(cells):
    """Return the text of docs/faults-data.md."""
    [commit] = {cell["commit"] for cell in cells}
    counted = Counter(cell["system"] for cell in cells)
    systems = "; ".join(f"{count} on {name}" for name, count in sorted(counted.items()))
    actions = ", ".join(dict.fromkeys(cell["action"] for cell in cells))
    numbers = {"cells": len(cells), "all": len(all_cells())}
    head = HEAD.format(**numbers, commit=commit[:8], systems=f"Hosts: {systems}.", actions=actions)
    left_out = "".join(f"- {what}: {why}\n" for what, why in LEFT_OUT.items())
    return head + "".join(row(name, cells) for name in FAULTS) + broken(cells) + "\nNot in the matrix:\n\n" + left_out


def row(name, cells):
    cells = [cell for cell in cells if cell["fault"] == name]
    texts = [
        name,
        str(len(cells)),
        str(sum(cell["code"] == "0" for cell in cells)),
        str(sum(int(cell["moments"]) for cell in cells)),
        f"{max(float(cell['seconds']) for cell in cells):.0f} s",
        str(sum(bool(cell["wrong"]) for cell in cells)),
    ]
    return f"| {' | '.join(texts)} |\n"


def broken(cells):
    lines = [
        f"- {cell['fault']}, {cell['part']} in {cell['action']}: {cell['wrong']}" for cell in cells if cell["wrong"]
    ]
    return "".join(["\nBroken rules:\n\n", *(wrapped(line, "  ") + "\n" for line in lines)]) if lines else ""
