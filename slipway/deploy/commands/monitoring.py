"""monitoring: files for Prometheus, its exporters and Grafana, of what production.toml says."""

import argparse
from pathlib import Path

from ..config import Fleet
from ..errors import Refused
from ..monitor import grafana, prometheus, promql, promtest
from ..screen.files import put_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("var/monitoring"), metavar="DIR", help="var/monitoring")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    made = files(fleet)
    put_files(args.out, made)
    print(f"{args.out}: {' '.join(made)}")


def files(fleet: Fleet) -> dict[str, str]:
    """Name → text. Raises Refused where Prometheus could see no host."""
    if not promql.counted(fleet):
        raise Refused("hosts: none has the role web, and watch.node names no port: Prometheus could see no host")
    front = {"blackbox.yml": prometheus.blackbox()} if fleet.watch["front"] else {}
    return {"prometheus.yml": prometheus.config(fleet), "rules.yml": prometheus.rules_file(fleet),
            "rules.test.yml": promtest.tests_file(fleet), **front, "grafana.json": grafana.dashboard(fleet)}
