"""The matrix of the data: what comes back if something happens in the middle of a backup, a restore or a swap.

Each cell ends with three random moments of those that `slipway backups` offers, which must come back to the row. The
cells that var/faults-data.jsonl has of this commit are not run again."""

import functools
import json
import multiprocessing
import os
import random
import subprocess
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from e2e.fleet import FleetError, apps, attach
from matrix import data_cells, data_page, data_shop
from matrix.data_cells import all_cells
from proc import ROOT

KEPT = ROOT / "var/faults-data.jsonl"
LEAST = 200  # cells, drawn by random, for a page


def kept(commit):
    """Return {cell: its Report as a dict} of the cells that this commit has run."""
    lines = KEPT.read_text().splitlines() if KEPT.exists() else []
    reports = [report for report in map(json.loads, lines) if report["commit"] == commit]
    return {(report["action"], report["part"], report["fault"]): report for report in reports}


def main(text, minutes, commit):
    """Run the cells whose name has that text; with `minutes` begin none after so long. Return an exit code."""
    KEPT.parent.mkdir(exist_ok=True)
    fleets, done = os.environ["FLEETS"].split(), kept(commit)
    cells = all_cells()
    random.Random(commit).shuffle(cells)
    wanted = [cell for cell in cells if cell not in done and text in " ".join(cell)]
    shares = [(fleet, wanted[number :: len(fleets)], minutes, commit) for number, fleet in enumerate(fleets)]
    with multiprocessing.Pool(len(fleets)) as pool:  # most of a cell's time is spent waiting
        wrong = sum(pool.starmap(run_on, shares, chunksize=1))
    if len(kept(commit)) >= LEAST:
        data_page.write(kept(commit).values())
    return 1 if wrong else 0


def run_on(name, its_cells, minutes, commit):
    """Run cells on that fleet. Return how many broke a rule or did not run."""
    if not its_cells:
        return 0
    os.environ["FLEET"] = name  # attach() reads it
    began, wrong, took = time.monotonic(), 0, {}
    with tempfile.TemporaryDirectory() as folder:
        shop = new_shop(Path(folder))
        for cell in its_cells:
            if minutes and time.monotonic() - began > 60 * minutes:
                break
            if not run(shop, cell, took, commit):
                wrong += 1
                shop = new_shop(Path(folder))  # the next cell needs a good start
    return wrong


def new_shop(folder):
    fleet = attach()
    image = functools.cache(lambda tag="build-1": fleet.registry.push(apps.project(tag), f"shop:{tag}"))
    return data_shop.made(fleet, folder, image)


def run(shop, cell, took, commit):
    """Run a cell, and keep its report. Return True if no rule was broken."""
    action, part, name = cell
    try:
        report = {**asdict(data_cells.run(shop, action, part, name, took)), "commit": commit}
    except (AssertionError, OSError, FleetError, subprocess.SubprocessError) as error:
        print(f"{action:9} {part:5} {name:40} was not tried: {error}", flush=True)
        return False
    with open(KEPT, "a", encoding="utf-8") as file:
        file.write(json.dumps(report) + "\n")
    print(
        f"{action:9} {part:5} {name:40} exit {report['code']:3} {report['rows']:5} rows, {report['moments']} moments,"
        f" {report['seconds']:5.1f} s  {'; '.join(report['wrong']) or 'well'}",
        flush=True,
    )
    return not report["wrong"]
