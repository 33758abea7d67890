"""What tests/benchmarks/deploy.py prints: each table says what ran. Pure but for printing."""

import os
from statistics import median

from side_by_side import report


def servers(count):
    return f"{count} host{'s' * (count > 1)}"


def spread(values):
    return f"({min(values):.2f} to {max(values):.2f})"


def table(title, series, beside):
    """series: tool → its runs, in turn. Seconds until the last server answers as it should, and until the command
    ended; the ratio to `beside`, run by run; requests lost of those sent; CPU seconds above those at rest."""
    head = ("", "last host", "", "ended", f"of {beside}'s", "", "lost", "CPU/host", "own CPU")
    rows = [head, *(row(tool, runs, series[beside]) for tool, runs in series.items())]
    widths = [max(map(len, column)) for column in zip(*rows)]
    print(f"\n{title}; median of {len(series[beside])}, load of this machine {os.getloadavg()[0]:.1f}")
    for cells in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip(), flush=True)


def row(tool, runs, others):
    seconds, ratios = [run.seconds for run in runs], [a.seconds / b.seconds for a, b in zip(runs, others)]
    return (tool, f"{median(seconds):.2f} s", spread(seconds), f"{median(run.whole for run in runs):.2f} s",
            f"{median(ratios):.2f}", spread(ratios),
            f"{sum(run.lost for run in runs)} of {sum(run.sent for run in runs):,}",
            f"{median(run.host_cpu for run in runs):.2f} s", f"{median(run.own_cpu for run in runs):.2f} s")


def more_hosts(medians):
    """medians: tool → number of servers → seconds."""
    for tool, seconds in medians.items():
        few, many = min(seconds), max(seconds)
        if few != many:
            print(f"  {tool}: {servers(many)} take {seconds[many] / seconds[few]:.2f} of the time of {few}", flush=True)


def checkouts(title, series):
    """series: checkout → pairs of a deploy and a rollback, ours first."""
    print(f"\n{title}; load of this machine {os.getloadavg()[0]:.1f}")
    for number, name in enumerate(("deploy", "rollback")):
        ours, others = ([pair[number] for pair in pairs] for pairs in series.values())
        for field in ("seconds", "whole"):
            report(f"  {name}, {field}", "this", "other",
                   [(getattr(a, field), getattr(b, field)) for a, b in zip(ours, others)])
    for checkout, pairs in series.items():
        for name, runs in zip(("deploy", "rollback"), zip(*pairs)):
            print(f"  {checkout}: {name}: lost {sum(run.lost for run in runs)} of {sum(run.sent for run in runs):,}",
                  flush=True)
