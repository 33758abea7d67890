"""Measure what visitors feel while the database is backed up, what a backup and a restore take, and what is kept.

    make fleet && ve/bin/python tests/benchmarks/backup.py [--megabytes 1000] [--runs 3]

It resets web1, which gets the project's app with Postgres and Redis; the repository is on another server, by sftp. Half
of a row's bytes are random, so that neither Postgres nor restic makes them smaller.
"""

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
from e2e import fleet as fleets  # noqa: E402
from e2e.fleet import apps  # noqa: E402
from e2e.repository import FOLDER  # noqa: E402
from e2e.test_backups import WithBackups, begun  # noqa: E402
from proc import passed  # noqa: E402

SECONDS = 15  # of a load without a backup
FILL = """
CREATE TABLE filler (id bigint, random bytea, text text);
INSERT INTO filler SELECT number, decode(string_agg(md5(random()::text), ''), 'hex'), repeat('slipway ', 64)
    FROM generate_series(1, {rows}) AS number, generate_series(1, 32) GROUP BY number;
CHECKPOINT;
"""


def p99(load):
    """Return the 99th percentile of the answers' milliseconds, and how many there were."""
    records = sorted(load.result.records, key=lambda record: record.seconds)
    return records[len(records) * 99 // 100].seconds * 1000, len(records)


def measured(shop, runs):
    """Load the site without a backup and beside one, in turn. Print a row for each pair."""
    pairs = []
    for _ in range(runs):
        with shop.load(seconds=SECONDS) as without:
            without.finish()
        began = time.monotonic()
        with shop.load(seconds=600) as beside:
            passed(shop.deploy("backup", timeout=1200))
            elapsed = time.monotonic() - began
            beside.stop()
        (quiet, _), (busy, count) = p99(without), p99(beside)
        pairs.append(busy / quiet)
        failed = len(without.result.failures) + len(beside.result.failures)
        kept = shop.nas.run(f"du -sm {FOLDER}").split()[0]
        print(f"p99 {quiet:.0f} ms, beside {busy:.0f} ms of {count}, {failed} failed; {elapsed:.1f} s; {kept} MB")
    print(f"ratio of p99 beside to without: {median(pairs):.2f} ({min(pairs):.2f}–{max(pairs):.2f})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    fleet = fleets.attach()
    fleet.reset("web1")

    def image(tag="build-1"):
        return fleet.registry.push(apps.project(tag), f"shop:{tag}")

    with tempfile.TemporaryDirectory() as folder:
        roles = ["web", "worker", "beat", "postgres", "redis"]
        shop = begun(WithBackups(fleet, Path(folder), image, web1=roles))
        shop.sql(FILL.format(rows=args.megabytes * 1000), timeout=1800)
        [size] = shop.sql("SELECT pg_database_size(current_database())")
        print(f"database {size} bytes, load {os.getloadavg()[0]:.1f}")
        measured(shop, args.runs)
        began = time.monotonic()
        drilled = passed(shop.deploy("drill", timeout=1800)).stdout
        print(f"drill {time.monotonic() - began:.1f} s: {re.search('.*are back.*', drilled)[0]}")
        shop.sent()
        began = time.monotonic()
        passed(shop.deploy("restore", "--at", "latest", "--beside", timeout=1800))
        print(f"restored beside in {time.monotonic() - began:.1f} s")
        with shop.load(seconds=600, may_fail=True) as load:
            began = time.monotonic()
            passed(shop.deploy("restore", "--swap", "--yes", timeout=600))
            elapsed = time.monotonic() - began
            load.stop()
        closed = [record for record in load.result.records if record.cause]
        span = closed[-1].ended - closed[0].started if closed else 0
        print(f"swapped in {elapsed:.1f} s; the site was closed for {span:.1f} s: {load.result.causes}")


if __name__ == "__main__":
    main()
