"""Deploys beside deploy/classic.sh: the same releases and one-offs, in turn, on the same servers under the same load.

    make ve/sentinel-deploy && make fleet FLEET_HOSTS="web1 web2 web3 web4"
    ve/bin/python tests/benchmarks/deploy.py [--runs 5] [--hosts 1 2 4] [--parts plain far broken] [--beside FOLDER]
    make fleet-down

--beside FOLDER: in plain and far, beside the deployer of another checkout; each deploys and rolls back in its turn.
plain: as it is. far: 25 ms each way to every server, and an app that takes 3 s to boot without using the CPU.
broken: a release that crashes, and one that answers 500. Seconds are those from the command until every server has
answered a visitor as the new release; for a broken one, until the command has ended and the old release serves.
"""

import argparse
import os
import shlex
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from side_by_side import report

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from e2e import fleet as fleets  # noqa: E402
from e2e.fleet import apps  # noqa: E402
from e2e.fleet.docker import docker  # noqa: E402
from e2e.rollouts import Shop  # noqa: E402
from proc import run  # noqa: E402

NAMES = ("web1", "web2", "web3", "web4")
PARTS = ("plain", "far", "broken")
RATE = 100  # requests a second, to all servers together; a third of them POSTs of 50 ms
DELAY = 25  # ms
SETTINGS = {"rollout.canary": 0, "rollout.bake": 0, "rollout.ready": 60, "rollout.dead_after": 30}
LIMIT = 5  # seconds that a broken release may take to get ready
# A deploy, as a user has it, keeps the bytecode of its modules.
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if name not in ("PYTHONDONTWRITEBYTECODE", "CELERY_HOSTS", "BEAT_HOSTS")}


@dataclass(frozen=True)
class Run:
    """One command: its exit code, its seconds, also those until it ended, and the requests lost of those sent."""

    code: int
    seconds: float
    whole: float
    lost: int
    sent: int


class Bench:
    """An app on the first `count` servers, with a release live; `fault` is of the releases to come."""

    def __init__(self, fleet, folder):
        self.shop, self.folder, self.fault = Shop(fleet, folder, "bench"), folder, ""
        self.shop.settings.update(SETTINGS)
        self.tags = (f"{int(time.time()):x}-{number}" for number in range(1, 1000))
        self.use(len(NAMES))
        self.shop.provision()
        self.near = folder / "ssh_config"  # classic.sh splits its SSH at spaces, and a checkout's path may have some
        self.near.symlink_to(fleet.ssh_config)

    def use(self, count):
        self.shop.hosts = {name: {"roles": ["web"], "internal": self.shop.fleet.hosts[name].address}
                           for name in NAMES[:count]}

    def reach(self, far):
        """From now on servers are far away, or not."""
        path = self.folder / "ssh_config.far"
        relay = shlex.join([sys.executable, "-I", "-S", str(Path(__file__).with_name("delay.py")), str(DELAY)])
        path.write_text(f"Host *\n    ProxyCommand {relay.replace('%', '%%')} %h %p\n" + self.near.read_text())
        self.shop.fleet = replace(self.shop.fleet, ssh_config=path if far else self.near)

    def release(self, fault=None):
        """A new release, in the registry; its tag."""
        tag, fault = next(self.tags), self.fault if fault is None else fault
        image = apps.echo(tag, fault)
        self.shop.fleet.registry.push(image, f"bench:{tag}")
        docker("rmi", image, check=False)
        return tag

    def deploy(self, tag, checkout=ROOT, **settings):
        self.shop.settings.update({f"rollout.{name}": value for name, value in settings.items()})
        return self.measure(self.shop.command("deploy", tag), tag, checkout=checkout)

    def rollback(self, tag, checkout=ROOT):
        return self.measure(self.shop.command("rollback"), tag, checkout=checkout)

    def classic(self, tag, ready=60):
        env = {"HOSTS": " ".join(self.shop.hosts), "APP": "bench", "IMAGE": self.shop.settings["image"], "TAG": tag,
               "READY": str(ready), "SSH": f"ssh -F {self.shop.fleet.ssh_config}"}
        return self.measure(["sh", ROOT / "deploy/classic.sh"], tag, env)

    def measure(self, command, tag, env=(), checkout=ROOT):
        with self.shop.load(rate=RATE) as load:
            began = time.time()
            done = run(command, timeout=200, cwd=checkout, env={**ENVIRONMENT, **dict(env)})
            ended = time.time()
            whole = ended - began
            time.sleep(0.5)
            result = load.stop()
        if done.returncode > 1:
            sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr}")
        if done.returncode == 0:
            ended = result.began + max(result.of(host.url).first(tag) for host in self.shop.web)
        return Run(done.returncode, ended - began, whole, len(result.failures), len(result.records))


def compare(bench, counts, runs):
    """Good releases, on each number of servers."""
    medians = []
    for count in counts:
        bench.use(count)
        live = bench.release()
        bench.deploy(live)
        series = []
        for _ in range(runs):
            ours = bench.deploy(bench.release())
            back = bench.rollback(live)
            live = bench.release()
            series.append((ours, back, bench.classic(live)))
        assert not [run for runs in series for run in runs if run.code], "a release failed"
        report(f"{count} hosts", "deploy", "classic.sh", [(ours.seconds, other.seconds) for ours, _, other in series])
        tell_lost(series)
        medians.append(statistics.median(ours.seconds for ours, _, _ in series))
    print(f"deploy to {counts[-1]} hosts takes {medians[-1] / medians[0]:.2f} of that to {counts[0]}", flush=True)


def compare_checkouts(bench, other, counts, runs):
    """Good releases and warm rollbacks by this deployer and by another checkout's, which take turns at being first."""
    for count in counts:
        bench.use(count)
        live = bench.release()
        bench.deploy(live)
        series, turns = {ROOT: [], other: []}, [ROOT, other]
        for number in range(runs + 1):
            for checkout in turns:
                pair = bench.deploy(bench.release(), checkout), bench.rollback(live, checkout)
                assert not any(run.code for run in pair), "a release failed"
                series[checkout] += [pair] if number else []  # at first bytecode is written
            turns.reverse()
        tell_checkouts(count, series)


def tell_checkouts(count, series):
    """series: checkout → pairs of runs, ours first."""
    for number, name in enumerate(("deploy", "rollback")):
        ours, others = ([pair[number] for pair in pairs] for pairs in series.values())
        for field in ("seconds", "whole"):
            report(f"{count} hosts, {name}, {field}", "this", "other",
                   [(getattr(a, field), getattr(b, field)) for a, b in zip(ours, others)])
    for checkout, pairs in series.items():
        print(f" {checkout}")
        tell_lost(pairs)


def tell_lost(series):
    for name, runs in zip(("deploy", "rollback", "classic.sh"), zip(*series)):
        seconds = sorted(run.seconds for run in runs)
        print(f"  {name}: {statistics.median(seconds):.2f} s ({seconds[0]:.2f} to {seconds[-1]:.2f}), lost "
              f"{sum(run.lost for run in runs)} of {sum(run.sent for run in runs)} requests", flush=True)


def compare_broken(bench, counts, runs):
    """Releases that never get ready, on the most servers: both must end with 1."""
    bench.use(counts[-1])
    bench.deploy(bench.release())
    for fault in ("crash", "error"):
        series = []
        for _ in range(runs):
            tag = bench.release(fault)
            series.append((bench.deploy(tag, ready=LIMIT), bench.classic(tag, ready=LIMIT)))
        assert all(run.code == 1 for runs in series for run in runs), "a broken release was let pass"
        report(f"{fault}, {counts[-1]} hosts, taken back", "deploy", "classic.sh",
               [(ours.seconds, other.seconds) for ours, other in series])
        for name, runs_of in zip(("deploy", "classic.sh"), zip(*series)):
            print(f"  {name}: lost {sum(run.lost for run in runs_of)} of {sum(run.sent for run in runs_of)} requests",
                  flush=True)


def attach():
    """The fleet; ends with what to do where it is not there."""
    try:
        fleet = fleets.attach()
    except fleets.FleetError as error:
        sys.exit(f"{error} FLEET_HOSTS='{' '.join(NAMES)}'")
    if not set(NAMES) <= set(fleet.hosts):
        sys.exit(f"the fleet lacks hosts: make fleet FLEET_HOSTS='{' '.join(NAMES)}'")
    if run([sys.executable, "-c", "import pyinfra"]).returncode:
        sys.exit("provisioning needs pyinfra: make ve/sentinel-deploy, then ve/bin/python tests/benchmarks/deploy.py")
    return fleet


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 2, 4], choices=range(1, 5))
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--beside", type=Path, metavar="FOLDER", help="another checkout, in place of classic.sh")
    args = parser.parse_args()
    fleet = attach()
    with tempfile.TemporaryDirectory(prefix="bench", dir="/tmp") as folder:
        bench = Bench(fleet, Path(folder))
        for part in (part for part in PARTS if part in args.parts):
            print(f"{part}; load of this machine: {os.getloadavg()[0]:.1f}", flush=True)
            bench.fault = "slow" if part == "far" else ""
            bench.reach(part == "far")
            if args.beside and part != "broken":
                compare_checkouts(bench, args.beside.resolve(), args.hosts, args.runs)
            else:
                (compare_broken if part == "broken" else compare)(bench, args.hosts, args.runs)


if __name__ == "__main__":
    main()
