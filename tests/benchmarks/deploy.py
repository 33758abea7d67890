"""Deploys beside what people write by hand: the same releases in turn on the same servers under the same load.

    make ve/sentinel-deploy && make fleet FLEET_HOSTS="web1 web2 web3 web4"
    ve/bin/python tests/benchmarks/deploy.py [--images real stand-in] [--parts plain broken rollback]
        [--tools deploy loop pyinfra classic.sh] [--hosts 1 2 4] [--runs 5] [--beside FOLDER]
    make fleet-down

Its servers are made bare first. --images: the project's own image, built by `make build`, with the app of
tests/e2e/apps/orders; and a stand-in that starts at once. --beside FOLDER: in plain, beside the deployer of another
checkout; each deploys and rolls back in its turn.

plain: good releases. broken: a release that crashes, and one that answers 500; the loop and pyinfra notice neither.
rollback: warm, to the release before, web and worker on each of the most servers, beat on one. Seconds are those from
the command until every server has answered a visitor as the new release; for a broken one, until the command has ended
and the old release serves. CPU: what a server with its engine and containers used until 2 s after that, less what as
many answers take while nobody deploys; and the command's own.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import deploy_cpu as cpu  # noqa: E402
import deploy_tables as tables  # noqa: E402
from deploy_apps import KINDS, NAMES  # noqa: E402
from deploy_tools import TOOLS, Bench  # noqa: E402
from e2e import fleet as fleets  # noqa: E402
from proc import run  # noqa: E402

PARTS = ("plain", "broken", "rollback")


def compare(bench, args):
    """Good releases by each tool, on each number of servers."""
    medians = {tool: {} for tool in args.tools}
    for count in args.hosts:
        bench.use(count)
        series, turns = {tool: [] for tool in args.tools}, list(args.tools)
        for tool in turns:  # all servers come from the same, and bytecode is written
            bench.by(tool, bench.releases.new())
        for _ in range(args.runs):
            for tool in turns:
                series[tool].append(bench.by(tool, bench.releases.new()))
            turns.append(turns.pop(0))
        tables.table(f"plain, {tables.servers(count)}: {bench.kind.title}", series, beside(args.tools))
        for tool in args.tools:
            medians[tool][count] = median(run.seconds for run in series[tool])
    tables.more_hosts(medians)


def beside(tools):
    """What ratios are to."""
    return "loop" if "loop" in tools else tools[0]


def compare_checkouts(bench, args):
    """Good releases and warm rollbacks by this deployer and by another checkout's, which take turns at being first."""
    for count in args.hosts:
        bench.use(count)
        live = bench.releases.new()
        bench.deploy(live)
        series, turns = {ROOT: [], args.beside: []}, [ROOT, args.beside]
        for number in range(args.runs + 1):
            for checkout in turns:
                pair = bench.deploy(bench.releases.new(), checkout), bench.rollback(live, checkout)
                series[checkout] += [pair] if number else []  # at first bytecode is written
            turns.reverse()
        tables.checkouts(f"plain, {tables.servers(count)}: {bench.kind.title}, two checkouts", series)


def compare_broken(bench, args):
    """Releases that never get ready, on the most servers: all that notice must end with 1."""
    bench.use(max(args.hosts))
    tools = [tool for tool in args.tools if tool in ("deploy", "classic.sh")]
    bench.deploy(bench.releases.new())
    for fault in ("crash", "error"):
        series = {tool: [] for tool in tools}
        for _ in range(args.runs):
            tag = bench.releases.new(fault)
            for tool in tools:
                series[tool].append(bench.by(tool, tag, ready=bench.kind.limit, codes=(1,)))
        tables.table(f"broken ({fault}, ready = {bench.kind.limit}), {tables.servers(max(args.hosts))}, until taken"
                     f" back: {bench.kind.title}", series, tools[-1])


def roll_back(bench, args):
    """Warm rollbacks, on the most servers, with all roles."""
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
    tables.table(f"rollback, warm, {tables.servers(count)} with web and worker, one with beat: {bench.kind.title}",
                 series, "deploy")


def do(bench, part, args):
    """A part of the benchmark."""
    {"plain": compare_checkouts if args.beside else compare, "broken": compare_broken, "rollback": roll_back}[part](
        bench, args)


def attach():
    """The fleet, its servers bare; ends with what to do where it is not there."""
    try:
        fleet = fleets.attach()
    except fleets.FleetError as error:
        sys.exit(f"{error} FLEET_HOSTS='{' '.join(NAMES)}'")
    if not set(NAMES) <= set(fleet.hosts):
        sys.exit(f"the fleet lacks hosts: make fleet FLEET_HOSTS='{' '.join(NAMES)}'")
    if run([sys.executable, "-c", "import pyinfra"]).returncode:
        sys.exit("this needs pyinfra: make ve/sentinel-deploy, then ve/bin/python tests/benchmarks/deploy.py")
    fleet.reset(*NAMES)
    cpu.account([fleet.hosts[name] for name in NAMES])
    return fleet


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--tools", nargs="+", default=TOOLS, choices=TOOLS)
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 2, 4], choices=range(1, 5))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--beside", type=Path, metavar="FOLDER", help="another checkout, in place of the other tools")
    return parser.parse_args()


def main():
    args = options()
    args.beside = args.beside and args.beside.resolve()
    fleet = attach()
    with tempfile.TemporaryDirectory(prefix="bench", dir="/tmp") as folder:
        for kind in args.images:
            bench = Bench(fleet, Path(folder), KINDS[kind]())
            for part in (part for part in PARTS if part in args.parts):
                print(f"\n==== {part}: {bench.kind.title}; load of this machine: {os.getloadavg()[0]:.1f}", flush=True)
                do(bench, part, args)
            bench.end()


if __name__ == "__main__":
    main()
