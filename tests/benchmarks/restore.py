"""Measure how long a restore beside the living database takes, and pgBackRest typed by hand.

    ve/bin/python tests/benchmarks/restore.py [--megabytes 1000] [--runs 3]

It needs Docker, and root. Both restore the same backup of the same repository, a folder, with four processes, in turn;
both are over when Postgres has replayed all WAL and answers. Ours has counted the rows by then, too.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]  # benchmarks/image.py is no part of it
from benchmarks.backup import FILL  # noqa: E402
from engine import docker  # noqa: E402
from image.backup_server import Server, build  # noqa: E402
from proc import wait_until  # noqa: E402
from slipway.deploy.backup import configuration, restore  # noqa: E402

AT_ONCE = 100  # megabytes that are written by one query
NEWER = 50  # megabytes that only the WAL has
BY_HAND = 'mkdir -p "$PGDATA"; chmod 700 "$PGDATA"; pgbackrest --stanza="$1" --process-max=4 --type=standby restore'
REPLAYED = "SELECT pg_last_wal_replay_lsn() >= '{}'"


def restored(server):
    """Restore beside the living database. Return the seconds."""
    began = time.monotonic()
    server.beside("latest")
    elapsed = time.monotonic() - began
    restore.discard(server.fresh(), server.repository)
    return elapsed


def by_hand(server, last):
    """Restore into a volume by pgBackRest, and start Postgres on it. Return the seconds until it has that LSN."""
    name, began = f"{server.app}-by-hand", time.monotonic()
    words = ["--network=none", "--user", server.owner, "--tmpfs=/tmp", "-v", f"{server.place}/database:/repository"]
    words += ["--tmpfs", f"/spool:uid={server.owner.split(':')[0]},mode=700", "-v", f"{name}:/var/lib/postgresql/data"]
    words += ["-v", f"{configuration.path(server.settings).parent}:/etc/pgbackrest:ro"]
    image = server.settings.image["IMAGE_ID"]
    docker("run", "--rm", *words, "--entrypoint=sh", image, "-c", BY_HAND, "sh", server.app, timeout=3600)
    docker(
        "run", "--detach", "--name", name, *words, "--entrypoint=postgres", image, "-c", "unix_socket_directories=/tmp"
    )

    def has_replayed():
        done = docker(
            "exec",
            "--env",
            "PGPASSWORD=a",
            name,
            "psql",
            "-h",
            "/tmp",
            "-U",
            "postgres",
            "-qAtc",
            REPLAYED.format(last),
            check=False,
        )
        return done.stdout.strip() == "t"

    wait_until(has_replayed, 3600, "all WAL is replayed")
    elapsed = time.monotonic() - began
    docker("rm", "-f", name)
    docker("volume", "rm", name)
    return elapsed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, pytest.MonkeyPatch.context() as patch:
        server = Server(Path(folder) / "server", patch, build())
        try:
            server.begin()
            for number in range(args.megabytes // AT_ONCE):
                server.sql(FILL.format(rows=AT_ONCE * 1000).replace("filler", f"filler_{number}"))
            server.base()
            server.sql(FILL.format(rows=NEWER * 1000).replace("filler", "newer"))
            last = server.sql("SELECT pg_current_wal_flush_lsn()")
            server.ship()
            size = server.sql("SELECT pg_database_size(current_database())")
            print(f"database {size} bytes, load {os.getloadavg()[0]:.1f}")
            ratios = []
            for _ in range(args.runs):
                hand, ours = by_hand(server, last), restored(server)
                ratios.append(ours / hand)
                print(f"by hand {hand:.1f} s, slipway restore {ours:.1f} s: {ours / hand:.2f}", flush=True)
            print(f"ratio {median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})")
        finally:
            server.clean()


if __name__ == "__main__":
    main()
