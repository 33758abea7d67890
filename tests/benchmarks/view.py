"""Measure what viewers of `slipway view` cost each server: the share of a core above rest, in percent.

    make fleet && ve/bin/python tests/benchmarks/view.py [--viewers 1 10] [--seconds 120]

The servers get a small app, with a balancer, at 12 requests a second.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/benchmarks")]
import deploy_cpu as cpu  # noqa: E402
from e2e import fleet as fleets  # noqa: E402
from e2e.scenarios import provisioned  # noqa: E402
from e2e.test_view import viewed  # noqa: E402

SETTLE = 75  # seconds, in which a viewer's first looks at the logs end


def shares(hosts, seconds):
    """Return the percent of a core that each server uses for so long."""
    before = cpu.used(hosts)
    time.sleep(seconds)
    return [(after - first) / seconds * 100 for first, after in zip(before, cpu.used(hosts), strict=True)]


def row(text, percents):
    print(f"| {text} | {' | '.join(f'{percent:.1f} %' for percent in percents)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--viewers", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--seconds", type=int, default=120, help="of each measure")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shop = provisioned(fleets.attach(), Path(folder))
        hosts = [*shop.machines().values()]
        with shop.load(rate=12, seconds=3600) as load:
            print(f"| viewers | {' | '.join(host.name for host in hosts)} |", flush=True)
            rest = shares(hosts, args.seconds)
            row("none", rest)
            for number in args.viewers:
                with contextlib.ExitStack() as stack:
                    for _ in range(number):
                        stack.enter_context(viewed(shop))
                    time.sleep(SETTLE)
                    used = shares(hosts, args.seconds)
                row(f"{number}, above that", (value - idle for value, idle in zip(used, rest, strict=True)))
            load.stop()


if __name__ == "__main__":
    main()
