"""The same faults to a deploy by Slipway and to one by a loop over ssh, side by side:

    make faults ARGS=--peers

The loop migrates in a container of its own, then replaces each server's container, one after the other, as careful
teams do by hand (tests/benchmarks/deploy_tools.py). Two web servers get 100 requests a second. Each fault happens once
a server has begun to start the new release. What is live is asked REST seconds after the command's end: nobody helps.
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
from proc import ROOT, signal_group, wait_until
from slipway.fleet.docker import docker

sys.path.append(str(ROOT / "tests/benchmarks"))
from deploy_apps import NAMES  # noqa: E402
from deploy_tools import ENVIRONMENT, Bench, release, visitors  # noqa: E402

TOOLS = ("deploy", "loop-migrate")
REST = 30  # seconds
CRASHES = "the release crashes"
AWAY = 15  # seconds that a server is without power


@dataclass(frozen=True)
class Outcome:
    """`live`: what each server answers with at the end: "new", "old" or "nothing"."""

    failed: int
    sent: int
    code: int
    live: tuple

    def __str__(self):
        live = " and ".join(dict.fromkeys(self.live))
        return f"{self.failed} of {self.sent:,} failed, exit {self.code}, {live} live"


class Beside(Bench):
    """Runs a command during which `fault(served, process)` happens; if that is None, as Bench does."""

    fault = None

    def measure(self, served, command, tag, env=(), cwd=ROOT, codes=(0,)):
        if self.fault is None:
            return super().measure(served, command, tag, env, cwd, codes)
        before, old = started(served), [answer(host, served) for host in served.web]
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with visitors(served) as load:
            process = subprocess.Popen(
                [*map(str, command)], cwd=cwd, env={**ENVIRONMENT, **dict(env)}, start_new_session=True, **silent
            )
            wait_until(lambda: process.poll() is not None or started(served) - before, 120, "a server has begun")
            self.fault(served, process)
            code = process.wait(300)
            time.sleep(REST)
            result = load.stop()
        names = {**dict.fromkeys(old, "old"), tag: "new", None: "nothing"}
        live = tuple(names.get(answer(host, served), "nothing") for host in served.web)
        return Outcome(len(result.failures), len(result.records), code, live)


def started(served):
    """Return the ids of the servers' containers that answer visitors."""
    asked = f"docker ps --quiet --no-trunc --filter 'name=^{served.app}(-web.*)?$'"
    return {id for host in served.web for id in host.console(asked).stdout.split()}


def answer(host, served):
    """Return the release that a server answers with, None if it answers no visitor."""
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
    fleet.reset(*NAMES[:2])
    with tempfile.TemporaryDirectory(prefix="bench", dir="/tmp") as folder:
        bench = Beside(fleet, Path(folder), 2)
        print("| what happens | Slipway | the loop |\n|---|---|---|", flush=True)
        for name in FAULTS:
            print(f"| {name} | {' | '.join(str(outcome(bench, tool, name)) for tool in TOOLS)} |", flush=True)
        bench.end()


def outcome(bench, tool, name):
    """Return what a fault does to a deploy by a tool. Whatever was before, all servers begin on one release."""
    bench.fault = None
    bench.by(tool, bench.releases.new())
    bench.fault = FAULTS[name]
    return bench.by(tool, bench.releases.new("crash" if name == CRASHES else ""))
