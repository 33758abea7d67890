"""The fault matrix: what visitors and hosts see if something happens in the middle of a deploy or a rollback.

    make faults ARGS="[--faults TEXT] [--steps STEP…] [--actions deploy rollback] [--sample MINUTES] [--peers | --data]"

It makes servers with Debian 12 and 13, and runs the cells that var/faults.jsonl does not have yet of the last commit
that changed what deploys and hosts run. The last line of each says which rules were broken. One fault needs root on
Linux, for a loop device. At the end it writes docs/faults.md and docs/faults.tsv, if no cell is missing. With --data
the same of backups and restores: see data.py.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from e2e.fleet import FleetError, attach
from e2e.scenarios import provisioned
from matrix import cells, page
from matrix.columns import EVERY, FAULTS
from proc import ROOT, output

KEPT = ROOT / "var/faults.jsonl"
ACTIONS = ("deploy", "rollback")
DEPLOYS = ("slipway/deploy", "slipway/lasting", "slipway/envfile.py", "deploy", "tests/e2e/apps/echo")
DATA = ("slipway/deploy/backup", "slipway/deploy/server", "slipway/lasting", "slipway/envfile.py")
OF_A_DEPLOY = ("publish", "watch")  # a rollback goes to files and a release that have proved themselves


def tested(paths):
    """Return the last commit that changed the paths. Exit if there are changes that it lacks."""
    if changed := output(["git", "status", "--porcelain", *paths], cwd=ROOT):
        sys.exit(f"make faults: commit first:\n{changed}")
    return output(["git", "log", "-1", "--format=%H", "--", *paths], cwd=ROOT).strip()


def all_cells():
    """Return (action, step, name of the fault) of all cells."""
    return [
        (action, step, name)
        for action in ACTIONS
        for name, fault in FAULTS.items()
        for step in fault.steps
        if action == "deploy" or step not in OF_A_DEPLOY
    ]


def fleet_of(cell, fleets):
    """Return the fleet for a cell, of these, which have different Debians. At each step a fault meets one in a deploy,
    and the next one in a rollback."""
    action, step, name = cell
    pairs = [(name, step) for name, fault in FAULTS.items() for step in fault.steps]
    return fleets[(pairs.index((name, step)) + ACTIONS.index(action)) % len(fleets)]


def chosen(args, commit):
    """Return the cells to run."""
    cells_in_turn = shuffled(commit) if args.sample else all_cells()
    return [
        (action, step, name)
        for action, step, name in cells_in_turn
        if action in args.actions and step in args.steps and args.faults in name
    ]


def shuffled(commit):
    """Return all cells in an order of this commit's own: the first of them are its sample."""
    return random.Random(commit).sample(all_cells(), len(all_cells()))


def kept(commit):
    """Return {cell: its Report as a dict} of the cells that this commit has run."""
    lines = KEPT.read_text().splitlines() if KEPT.exists() else []
    reports = [report for report in map(json.loads, lines) if report["commit"] == commit]
    return {(report["action"], report["step"], report["fault"]): report for report in reports}


def run(shop, cell, commit):
    """Run a cell, and keep its report. Return True if no rule was broken."""
    action, step, name = cell
    try:
        report = {**asdict(cells.run(shop, action, step, FAULTS[name])), "commit": commit}
    except (AssertionError, OSError, FleetError, subprocess.SubprocessError) as error:
        print(f"{action:8} {step:8} {name:45} was not tried: {error}", flush=True)
        return False
    with open(KEPT, "a", encoding="utf-8") as file:
        file.write(json.dumps(report) + "\n")
    failed = sum(report["failed"].values())
    print(
        f"{action:8} {step:8} {name:45} exit {report['code']:3} {report['release']:10} {report['seconds']:5.1f} s"
        f"  {failed} of {report['requests']} failed  {'; '.join(report['wrong']) or 'well'}",
        flush=True,
    )
    return not report["wrong"]


def main():
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--faults", default="", help="only those whose name has this text")
    parser.add_argument("--steps", nargs="+", default=EVERY, choices=EVERY)
    parser.add_argument("--actions", nargs="+", default=ACTIONS, choices=ACTIONS)
    parser.add_argument("--sample", type=float, default=0, metavar="MINUTES", help="begin no cell after so long")
    parser.add_argument("--peers", action="store_true", help="only some, and other tools beside them")
    parser.add_argument("--data", action="store_true", help="only of backups and restores; --actions and --steps: all")
    args = parser.parse_args()
    commit = tested(DATA if args.data else DEPLOYS)
    if args.data:
        from matrix import data  # only now: it needs the project's own image

        return data.main(args.faults, args.sample, commit)
    if args.peers:
        from matrix import peers  # only now: the benchmarks have a module that hides a folder called deploy

        peers.main()
        return 0
    KEPT.parent.mkdir(exist_ok=True)
    fleets, done = os.environ["FLEETS"].split(), kept(commit)
    cells_of = {fleet: [] for fleet in fleets}
    for cell in chosen(args, commit):
        if cell not in done:
            cells_of[fleet_of(cell, fleets)].append(cell)
    wrong = sum(run_on(fleet, cells_of[fleet], args.sample / len(fleets), commit) for fleet in fleets)
    done = kept(commit)  # another process may have run some, too
    if not {*all_cells()} - {*done}:
        page.write(done.values())
    return 1 if wrong else 0


def run_on(fleet, its_cells, minutes, commit):
    """Run cells on that fleet; with `minutes` begin none after so long. Return how many broke a rule or did not run."""
    if not its_cells:
        return 0
    os.environ["FLEET"] = fleet  # attach() reads it
    began, wrong = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        shop = provisioned(attach(), Path(folder))
        for cell in its_cells:
            if minutes and time.monotonic() - began > 60 * minutes:
                break
            if not run(shop, cell, commit):
                wrong += 1
                shop = provisioned(attach(), Path(folder))  # the next cell needs a good start
    return wrong


if __name__ == "__main__":
    sys.exit(main())
