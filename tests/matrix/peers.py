"""The same faults to a deploy by Slipway and to those of its peers, side by side:

    make faults ARGS=--peers

The loop migrates in a container of its own, then replaces each server's container, one after the other, as careful
teams do by hand (tests/benchmarks/deploy_tools.py). Docker Swarm and Kamal: others.py. Kamal's column is empty where
`kamal` and its proxy's image are not installed. Two web servers get 100 requests a second. Each fault happens once a
server has begun to start the new release. What is live is asked REST seconds after the command's end: nobody helps.
"""

import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
from dataclasses import dataclass
from pathlib import Path

from e2e.fleet import attach
from matrix.others import Kamal, Swarm, has_kamal
from proc import ROOT, signal_group, wait_until
from slipway.fleet.docker import docker

sys.path.append(str(ROOT / "tests/benchmarks"))
from deploy_apps import NAMES  # noqa: E402
from deploy_tools import ENVIRONMENT, Bench, release, visitors  # noqa: E402

SERVERS = 2
REST = 30  # seconds
CRASHES = "the release crashes"
AWAY = 15  # seconds that a server is without power
ASKED = 10  # times that each server is asked for its release: a proxy may know several


@dataclass(frozen=True)
class Outcome:
    """`code`, `seconds`: the command's. `live`: what servers answer with at the end, each of "new", "old" and "nothing"
    once."""

    failed: int
    sent: int
    code: int
    seconds: float
    live: tuple

    def __str__(self):
        ended = f"exit {self.code} after {self.seconds:.0f} s"
        return f"{self.failed} of {self.sent:,} failed; {ended}; {' and '.join(self.live)}"


class Beside(Bench):
    """Runs a command during which `fault(served, process)` happens; if that is None, as Bench does."""

    fault = None

    def measure(self, served, command, tag, env=(), cwd=ROOT, codes=(0,)):
        if self.fault is None:
            return super().measure(served, command, tag, env, cwd, codes)
        before, old = started(served), {each for host in served.web for each in answers(host, served)}
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with visitors(served) as load:
            began = time.monotonic()
            process = subprocess.Popen(
                [*map(str, command)], cwd=cwd, env={**ENVIRONMENT, **dict(env)}, start_new_session=True, **silent
            )
            wait_until(lambda: process.poll() is not None or started(served) - before, 120, "a server has begun")
            self.fault(served, process)
            code, seconds = process.wait(600), time.monotonic() - began
            time.sleep(REST)
            result = load.stop()
        names = {**dict.fromkeys(old, "old"), tag: "new", None: "nothing"}
        live = dict.fromkeys(names.get(each, "nothing") for host in served.web for each in answers(host, served))
        return Outcome(len(result.failures), len(result.records), code, seconds, tuple(sorted(live)))


class Other(Beside):
    """The same for a tool of others.py."""

    def __init__(self, fleet, folder, count, tool):
        self.fleet, self.tool, self.rest = fleet, tool, {}
        tool.set_up(fleet, folder, count)
        self.releases = tool.releases

    def by(self, tool, tag):
        if self.fault is None:
            self.tool.help()
        command, cwd = self.tool.command(tag)
        return self.measure(self.tool.served, command, tag, cwd=cwd)


def started(served):
    """Return the ids of the servers' containers that answer visitors."""
    asked = f"docker ps --quiet --no-trunc --filter 'name=^{served.app}([-_]web.*)?$'"
    return {id for host in served.web for id in host.console(asked).stdout.split()}


def answers(host, served):
    """Return the releases that a server answers with; None is one of them if it does not answer each visitor."""
    return {answer(host, served) for _ in range(ASKED)}


def answer(host, served):
    try:
        return release(host, served)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


# ---- the faults ----


def nothing(served, process):
    """Let the deploy go on."""


def deployer_off(served, process):
    signal_group(process, signal.SIGKILL)


def server_off(served, process):
    served.web[1].power_cut()
    time.sleep(AWAY)
    served.web[1].power_on()


def dockerd_restarted(served, process):
    served.web[1].console("systemctl restart docker")


def registry_away(served, process):
    container = served.fleet.registry.machine.container
    docker("stop", container)
    process.wait(300)
    docker("start", container)


FAULTS = {
    "nothing": nothing,
    "the machine that deploys is switched off": deployer_off,
    f"a server is without power for {AWAY} s": server_off,
    "dockerd of a server is restarted": dockerd_restarted,
    "the registry goes away": registry_away,
    CRASHES: nothing,
}


def main():
    fleet = attach()
    columns = {"Slipway": "deploy", "the loop": "loop-migrate", "Docker Swarm": Swarm()}
    if has_kamal():
        columns["Kamal"] = Kamal()
    cells = {(name, title): outcome for title, tool in columns.items() for name, outcome in column(fleet, title, tool)}
    print(f"| what happens | {' | '.join(columns)} |\n|{'---|' * (1 + len(columns))}")
    for name in FAULTS:
        print(f"| {name} | {' | '.join(str(cells[name, title]) for title in columns)} |", flush=True)


def column(fleet, title, tool):
    """Yield (name of a fault, its outcome) for a tool."""
    fleet.reset(*NAMES[:SERVERS])
    with tempfile.TemporaryDirectory(prefix="bench", dir="/tmp") as folder:
        if isinstance(tool, str):
            bench = Beside(fleet, Path(folder), SERVERS)
        else:
            bench = Other(fleet, Path(folder), SERVERS, tool)
        for name, fault in FAULTS.items():
            result = outcome(bench, tool, name, fault)
            print(f"{title}: {name}: {result}", file=sys.stderr, flush=True)
            yield name, result


def outcome(bench, tool, name, fault):
    """Return what a fault does to a deploy by a tool. Whatever was before, all servers begin on one release."""
    bench.fault = None
    bench.by(tool, bench.releases.new())
    bench.fault = fault
    return bench.by(tool, bench.releases.new("crash" if name == CRASHES else ""))
