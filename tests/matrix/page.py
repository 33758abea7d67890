"""The pages of the fault matrix in docs/: a summary for each fault, and a file with all cells."""

from collections import Counter

from matrix.columns import FAULTS, LEFT_OUT
from proc import ROOT

HEAD = """# Fault matrix

`make faults` runs each cell on servers in containers: a deploy or a rollback on two web hosts, a worker and a balancer,
under 40 requests a second, to which a fault happens at a step. The {cells} cells are in [faults.tsv](faults.tsv), of
commit {commit}, on a busy machine. The rules: no visitor fails, only the old and the new release answer, all hosts end
on one of them with nothing left, and the exit code says on which. [Invariant 3](design.md#invariants) has exceptions.
Hosts: {systems}.

| fault | cells | requests | failed | exit 0 | slowest until whole | rules broken |
|---|---|---|---|---|---|---|
"""
REASON = 60  # characters of the reason of a broken rule; the file has it whole
COLUMNS = ("action", "step", "fault", "requests", "failed", "code", "release", "seconds", "wrong", "system")


def write(reports, commit):
    """Write docs/faults.md and docs/faults.tsv from the reports of all cells, as dicts."""
    reports = sorted(reports, key=lambda report: [*FAULTS].index(report["fault"]))
    counted = Counter(report["system"] for report in reports)
    systems = " and ".join(f"{number} on {system}" for system, number in sorted(counted.items()))
    head = HEAD.format(cells=len(reports), commit=commit[:8], systems=systems)
    (ROOT / "docs/faults.md").write_text(
        head + "".join(row(name, reports) for name in FAULTS) + broken(reports) + foot(), encoding="utf-8"
    )
    lines = ["\t".join(COLUMNS), *("\t".join(text(report[name]) for name in COLUMNS) for report in reports)]
    (ROOT / "docs/faults.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def text(value):
    """Return a cell of the file with all: {cause: number} and lists without their marks."""
    pairs = [f"{key} {number}" for key, number in value.items()] if isinstance(value, dict) else value
    return " ".join(("; ".join(pairs) if isinstance(pairs, list) else str(pairs)).split())


def row(name, reports):
    """Return the row of a fault."""
    reports = [report for report in reports if report["fault"] == name]
    failed = sum(sum(report["failed"].values()) for report in reports)
    cells = [
        name,
        str(len(reports)),
        f"{sum(report['requests'] for report in reports):,}",
        f"{failed}{f': {FAULTS[name].loses}' if failed and FAULTS[name].loses else ''}",
        str(sum(report["code"] == 0 for report in reports)),
        f"{max(report['seconds'] for report in reports):.0f} s",
        str(sum(bool(report["wrong"]) for report in reports)),
    ]
    return f"| {' | '.join(cells)} |\n"


def broken(reports):
    """Return a list of the cells that broke a rule, with the first reason."""
    lines = [
        f"- {report['fault']}, at `{report['step']}` of a {report['action']}: {report['wrong'][0][:REASON]}\n"
        for report in reports
        if report["wrong"]
    ]
    return "".join(["\nBroken rules:\n\n", *lines]) if lines else ""


def foot():
    return "\nNot in the matrix:\n\n" + "".join(f"- {what}: {why}\n" for what, why in LEFT_OUT.items())
