"""What a deploy takes, by the number of hosts: measured with hosts.py's stand-ins, fitted, and foretold for more.

    ve/bin/python tests/benchmarks/scale.py [--hosts 1 25 50 100 200] [--check 1000] [--delay 25] [--work 1] [--runs 1]

The model of scale_model.py is fitted to --hosts, and then held against --check, which is measured in the same run, too.
Each number of hosts has a deploy that commits, and one in which a host fails when all have flipped. Needs busybox.
"""

import argparse
import contextlib
import functools
import multiprocessing
import os
import resource
import statistics
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import hosts
import scale_model
from scale_watch import Seen, watched

from slipway.deploy.ssh import connection

PREDICTED = (1000, 10_000)
UNITS = {"seconds": "s", "two releases": "s", "takeback": "s", "CPU": "s", "memory": "MB", "files": "", "programs": "",
         "bytes": "kB"}
Figures = dict[str, float]


class Agent(hosts.Agent):
    """Counts what it hears and says. Where one is to fail, the first that is to prepare does."""

    def __init__(self, heard: Any, failing: Any, *more: Any) -> None:
        super().__init__(*more)
        self.heard, self.failing = heard, failing

    def data_received(self, data: bytes) -> None:
        self.count(data)
        super().data_received(data)

    def hear(self, message: dict[str, Any]) -> None:
        with self.failing.get_lock():
            fails = message.get("do") == "prepare" and self.failing.value
            self.failing.value = self.failing.value and not fails
        if fails:
            return self.say(b'{"id": %d, "problem": "broken", "more": {}}\n' % message["id"])
        return super().hear(message)

    def say(self, line: bytes, seconds: float | None = None) -> None:
        self.count(line)
        super().say(line, seconds)

    def count(self, data: bytes) -> None:
        with self.heard.get_lock():
            self.heard.value += len(data)


def measured(count: int, delay: float, work: float) -> Figures:
    """The figures of so many hosts: of a deploy that commits, and the takeback's of one that does not."""
    heard, failing = multiprocessing.Value("q", 0), multiprocessing.Value("i", 0)
    with (tempfile.TemporaryDirectory(prefix="scale", dir="/tmp") as folder,
          contextlib.closing(hosts.Bench(Path(folder), count, delay, work,
                                         functools.partial(Agent, heard, failing))) as bench):
        good = watched(bench.config, bench.env, hosts.ROOT)
        assert good.code == 0 and bench.committed.value == count, good.said[-3000:]
        sent, failing.value = heard.value, 1
        bad = watched(bench.config, bench.env, hosts.ROOT)
        assert bad.code == 1 and "taken back" in bad.said, bad.said[-3000:]
    return {**of(good), "takeback": bad.takeback(), "bytes": sent / 1000}


def of(seen: Seen) -> Figures:
    """The figures of a deploy that was watched."""
    return {"seconds": seen.seconds, "two releases": seen.span("flip"), "CPU": seen.cpu, "memory": seen.memory,
            "files": seen.files, "programs": seen.programs}


def median(series: Iterable[Figures]) -> Figures:
    """The median of each figure."""
    found = [*series]
    return {name: statistics.median(run[name] for run in found) for name in found[0]}


def shown(found: dict[int, Figures], check: int) -> Iterable[str]:
    """Lines of a Markdown table: what was measured, what is foretold, how far off that is."""
    fit = {figure: scale_model.fitted(figure, [(count, run[figure]) for count, run in found.items() if count != check])
           for figure in UNITS}
    yield f"| | {' | '.join(map(str, found))} | {' | '.join(f'*{many}*' for many in PREDICTED)} | off at {check} |"
    yield "|---" * (len(found) + len(PREDICTED) + 2) + "|"
    for figure, unit in UNITS.items():
        cells = [read(run[figure], unit) for run in found.values()]
        more = [f"*{read(scale_model.predicted(figure, fit[figure], many), unit)}*" for many in PREDICTED]
        off = scale_model.predicted(figure, fit[figure], check) / found[check][figure] if check in found else 0
        yield f"| {figure} | {' | '.join([*cells, *more])} | {f'{off:.2f}' if off else ''} |"
    yield from (scale_model.formula(figure, numbers) for figure, numbers in fit.items())


def read(value: float, unit: str) -> str:
    """A figure, to read."""
    return f"{value:,.{2 if value < 10 and unit == 's' else 0}f} {unit}".strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 25, 50, 100, 200])
    parser.add_argument("--check", type=int, default=1000, help="0 for none")
    parser.add_argument("--delay", type=int, default=25, metavar="MS")
    parser.add_argument("--work", type=float, default=1)
    parser.add_argument("--runs", type=int, default=1)
    args = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))  # for the agents
    found = {}
    for count in [*args.hosts, *([args.check] if args.check else [])]:
        found[count] = median(measured(count, args.delay / 1000, args.work) for _ in range(args.runs))
        print(f"{count} hosts, load {os.getloadavg()[0]:.0f}: {found[count]}", flush=True)
    print("\n".join(shown(found, args.check)))
    print(f"the agent, for hosts that have not kept it: {len(connection.packed()) / 1000:.1f} kB each")


if __name__ == "__main__":
    main()
