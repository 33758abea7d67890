"""Compare deploys with hand-written scripts: the same releases in turn, on the same servers, under the same load.

    make benchmark ARGS="[--parts plain broken rollback] [--tools deploy loop loop-migrate pyinfra classic.sh]
        [--hosts 1 2 4] [--runs 5] [--delay 0] [--loss 0]"

It resets the servers first. The image is the project's own, by `make build`, with the app of tests/e2e/apps/orders.

plain: good releases. broken: deploys of a release that crashes. rollback: to the previous release, which is warm; on
the largest number of servers, each with web and worker, one with beat. Seconds are measured from the command until
every server has answered a visitor as the new release; for a broken one, until the command has ended. CPU: the seconds
of a server with its engine and containers until 2 s later, minus those for as many answers without a deploy.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
import deploy_cpu as cpu  # noqa: E402
from deploy_apps import NAMES  # noqa: E402
from deploy_tools import TOOLS, Bench  # noqa: E402
from e2e import fleet as fleets  # noqa: E402


def spread(values):
    return f"({min(values):.2f} to {max(values):.2f})"


def table(title, series, beside):
    """Print a table of `series`, {tool: its runs in turn}: seconds until the last server answers correctly; the ratio
    to `beside` for each run; requests lost and sent; how long 99 % of visitors waited at most; CPU seconds above those
    at rest."""
    head = ("", "last host", "", f"of {beside}'s", "", "lost", "99 %", "CPU/host")
    rows = [head, *(row(tool, runs, series[beside]) for tool, runs in series.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(f"\n{title}; median of {len(series[beside])}, load of this machine {os.getloadavg()[0]:.1f}")
    for cells in rows:
        print(
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip(), flush=True
        )
    for tool, runs in series.items():
        steps = [step for step in runs[0].steps if all(step in run.steps for run in runs)]  # an exit may stop any
        if steps:
            print(f"  {tool}: {', '.join(f'{step} {median(run.steps[step] for run in runs):.2f}' for step in steps)}")


def row(tool, runs, others):
    seconds, ratios = [run.seconds for run in runs], [a.seconds / b.seconds for a, b in zip(runs, others, strict=False)]
    return (
        tool,
        f"{median(seconds):.2f} s",
        spread(seconds),
        f"{median(ratios):.2f}",
        spread(ratios),
        f"{sum(run.lost for run in runs)} of {sum(run.sent for run in runs):,}",
        f"{median(run.slowest for run in runs) * 1000:.0f} ms",
        f"{median(run.host_cpu for run in runs):.2f} s",
    )


def compare(bench, args):
    """Compare the tools with good releases, on each number of servers."""
    for count in args.hosts:
        bench.use(count)
        series, turns = {tool: [] for tool in args.tools}, list(args.tools)
        for tool in turns:  # a warm-up: each server has an old release, and bytecode is written
            bench.by(tool, bench.releases.new())
        for _ in range(args.runs):
            for tool in turns:
                series[tool].append(bench.by(tool, bench.releases.new()))
            turns.append(turns.pop(0))
        table(f"plain, hosts: {count}", series, "loop-migrate" if "loop-migrate" in args.tools else args.tools[0])


def take_back(bench, args):
    """Measure how a release that crashes is taken back, on the largest number of servers."""
    bench.use(max(args.hosts))
    bench.deploy(bench.releases.new())
    runs = [bench.deploy(bench.releases.new("crash"), codes=(1,)) for _ in range(args.runs)]
    table(f"broken, hosts: {max(args.hosts)}, until taken back", {"deploy": runs}, "deploy")


def roll_back(bench, args):
    """Measure warm rollbacks, on the largest number of servers, with all roles."""
    count = max(args.hosts)
    bench.use(count)
    bench.ours.use(count, "worker")
    bench.ours.provision()
    live = bench.releases.new()
    bench.deploy(live)
    series = {"deploy": [], "rollback": []}
    for _ in range(args.runs):
        series["deploy"].append(bench.deploy(bench.releases.new()))
        series["rollback"].append(bench.rollback(live))
    table(f"rollback, warm, hosts: {count} with web and worker, one with beat", series, "deploy")


PARTS = {"plain": compare, "broken": take_back, "rollback": roll_back}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--tools", nargs="+", default=TOOLS, choices=TOOLS)
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 2, 4], choices=range(1, 5))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--delay", type=float, default=0, help="milliseconds to each server and back by ssh")
    parser.add_argument("--loss", type=float, default=0, help="percent of ssh's packets that are lost")
    args = parser.parse_args()
    fleet, names = fleets.attach(), NAMES[: max(args.hosts)]  # make benchmark has started it
    fleet.reset(*names)
    cpu.account([fleet.hosts[name] for name in names])
    with tempfile.TemporaryDirectory(prefix="bench", dir="/tmp") as folder:
        bench = Bench(fleet, Path(folder), max(args.hosts), args.delay, args.loss)
        for part in (part for part in PARTS if part in args.parts):
            print(f"\n==== {part}; load of this machine: {os.getloadavg()[0]:.1f}", flush=True)
            PARTS[part](bench, args)
        bench.end()


if __name__ == "__main__":
    main()
