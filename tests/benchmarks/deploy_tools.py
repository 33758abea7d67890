"""The tools that deploy a release: the deployer, the loops people write by hand, pyinfra and classic.sh; and the
cost of a run: seconds, requests, CPU."""

import json
import os
import sys
import time
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, quantiles

import deploy_cpu as cpu
from deploy_apps import APP, Releases, Served, commands, migrate, take_over
from e2e.provisioned import ROOT
from proc import run, wait_until

RATE = 100  # requests a second, to all servers together; 3 of 10 are POSTs
SETTLES = 2  # seconds for a release to start its other processes after the first has answered
# The loop that people write by hand: one host after another, by one ssh each. It does not wait, publish or migrate.
LOOP = 'for host in $HOSTS; do $SSH "$host" "$COMMANDS" || exit; done'
# What a careful team writes: it first migrates, in a container of its own on the first host.
CAREFUL_LOOP = f'$SSH "${{HOSTS%% *}}" "$MIGRATE" && {LOOP}'
FAR = Path(__file__).with_name("distance.py")
TOOLS = ("deploy", "loop", "loop-migrate", "pyinfra", "classic.sh")
# Deploys keep the bytecode of their modules, as on a user's machine.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in ("PYTHONDONTWRITEBYTECODE", "CELERY_HOSTS", "BEAT_HOSTS")
}


@dataclass(frozen=True)
class Run:
    """One run of a command: seconds until the last server answered correctly; requests lost and sent; the seconds
    within which 99 % of the answers came, counted from when each request was due; CPU seconds of a server, above those
    at rest; seconds of each step of the deployer."""

    seconds: float
    lost: int
    sent: int
    slowest: float
    host_cpu: float
    steps: dict


class Bench:
    """The app twice on the fleet: deployed by the deployer and classic.sh, and started by hand."""

    def __init__(self, fleet, folder, count, delay=0, loss=0):
        """`delay`: milliseconds to each server and back by ssh; `loss`: percent of packets."""
        self.fleet, self.folder, self.count, self.releases = fleet, folder, count, Releases(fleet.registry)
        self.rest = {}
        near = replace(fleet, ssh_config=folder / "ssh_config")  # without spaces, at which classic.sh splits SSH
        proxy = f"{sys.executable} {FAR} {delay:g} {loss:g} %h %p"
        far = f"Host *\n    ProxyCommand {proxy}\n" if delay or loss else ""
        near.ssh_config.write_text(far + fleet.ssh_config.read_text())
        self.ours, self.hand = (Served(near, folder, APP + more, count) for more in ("", "hand"))
        live = self.releases.new()
        self.ours.first(live), self.hand.first(live)
        take_over(self.hand, live)

    def end(self):
        """Stop the app in both forms."""
        self.use(self.count)
        for host in self.hand.web:
            host.run(f"docker rm -f {self.hand.app}")
        self.ours.stop()

    def use(self, count):
        """Use `count` servers, and forget their CPU use at rest."""
        self.rest = {}
        for served in (self.ours, self.hand):
            served.use(count)

    # ---- the tools ----

    def by(self, tool, tag):
        """Deploy a release with a tool of TOOLS."""
        return getattr(self, tool.removesuffix(".sh").replace("-", "_"))(tag)

    def deploy(self, tag, **options):
        self.retire()
        return self.measure(self.ours, self.ours.command("deploy", "--json", tag), tag, **options)

    def retire(self):
        """End the old release, which otherwise ends some time after a deploy: the next deploy finds an empty slot."""
        for host in self.ours.web:
            host.ssh(f"systemctl start --wait {self.ours.app}-retire")  # fails before the second deploy: no unit yet
            wait_until(
                lambda host=host: len(host.run(f"docker ps -q --filter name={self.ours.app}-web").split()) < 2,
                60,
                "the old release has ended",
            )

    def rollback(self, tag):
        return self.measure(self.ours, self.ours.command("rollback"), tag)

    def classic(self, tag):
        env = {
            "HOSTS": " ".join(self.ours.hosts),
            "APP": self.ours.app,
            "IMAGE": self.ours.settings["image"],
            "TAG": tag,
            "READY": "60",
            "SSH": f"ssh -F {self.ours.fleet.ssh_config}",
        }
        return self.measure(self.ours, ["sh", ROOT / "slipway/deploy/classic.sh"], tag, env)

    def loop(self, tag, script=LOOP):
        env = {
            "HOSTS": " ".join(self.hand.hosts),
            "SSH": f"ssh -F {self.hand.fleet.ssh_config}",
            "COMMANDS": commands(self.hand.app, self.image(tag)),
            "MIGRATE": migrate(self.hand.app, self.image(tag)),
        }
        return self.measure(self.hand, ["sh", "-c", script], tag, env)

    def loop_migrate(self, tag):
        return self.loop(tag, CAREFUL_LOOP)

    def pyinfra(self, tag):
        data = {
            "ssh_config_file": str(self.hand.fleet.ssh_config),
            "ssh_strict_host_key_checking": "yes",
            "ssh_known_hosts_file": str(self.fleet.ssh_config.with_name("known_hosts")),
        }
        inventory = self.folder / "inventory.py"
        inventory.write_text(f"hosts = {[(name, data) for name in self.hand.hosts]!r}\n")
        shell = commands(self.hand.app, self.image(tag))
        words = [sys.executable, "-m", "pyinfra", "-y", inventory, "exec", "--", shell]
        return self.measure(self.hand, words, tag, cwd=self.folder)

    def image(self, tag):
        return f"{self.hand.settings['image']}:{tag}"

    # ---- their cost ----

    def measure(self, served, command, tag, env=(), cwd=ROOT, codes=(0,)):
        """Run a command under load until all servers have answered as `tag`, or, if it fails, until it has ended. If
        its exit code is not in `codes`, exit with its output."""
        rest = self.at_rest(served)
        with visitors(served) as load:
            time.sleep(0.3)  # so that the load sees the old release
            hosts, began = cpu.used(served.web), time.time()
            done = run(command, timeout=300, cwd=cwd, env={**ENVIRONMENT, **dict(env)})
            seconds = time.time() - began
            if done.returncode == 0:
                wait_until(lambda: all(release(host, served) == tag for host in served.web), 60, f"all serve {tag}")
            time.sleep(SETTLES)
            hosts, until = mean(cpu.used(served.web)) - mean(hosts), time.time()
            result = load.stop()
        if done.returncode not in codes:
            sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        if done.returncode == 0:
            seconds = result.began + max(result.of(host.url).first(tag) for host in served.web) - began
        return Run(
            seconds,
            len(result.failures),
            len(result.records),
            quantiles(waits(result), n=100)[98],
            hosts - rest * answered(result, began, until) / len(served.web),
            steps_in(done.stdout),
        )

    def at_rest(self, served, seconds=5):
        """Return the CPU seconds that a server uses for each answered request while nobody deploys."""
        if served.app not in self.rest:
            with visitors(served) as load:
                time.sleep(1)
                before, began = mean(cpu.used(served.web)), time.time()
                time.sleep(seconds)
                used, until = mean(cpu.used(served.web)) - before, time.time()
                result = load.stop()
            self.rest[served.app] = used / answered(result, began, until) * len(served.web)
        return self.rest[served.app]


def steps_in(output):
    """Return the seconds of each step that events in this output tell, of the slowest server."""
    events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    done = [event for event in events if event.get("state") == "done" and "seconds" in event]
    steps = {event["step"]: event["seconds"] for event in sorted(done, key=lambda event: event["seconds"])}
    exits = [event["at"] for event in events if "exited right after its start" in event.get("text", "")]
    if exits:
        steps["from the first exit to the end"] = events[-1]["at"] - exits[0]
    return steps


def visitors(served):
    """Return the load of all runs."""
    return served.load(may_fail=True, rate=RATE, post_every=10, posts=3, post_path="/")


def waits(result):
    """Return the seconds that each visitor who got an answer waited for it."""
    return [record.ended - number / RATE for number, record in enumerate(result.records) if not record.cause]


def answered(result, began, until):
    """Return the number of requests answered well in that time. A lost request costs a server almost nothing."""
    return sum(began <= result.began + record.ended <= until for record in result.records if not record.cause)


def release(host, served):
    """Return the release that answers a visitor of that server, or None if the answer names none."""
    asked = urllib.request.Request(host.url, headers={"Host": f"{served.app}.example"})
    with urllib.request.urlopen(asked, timeout=5) as answer:
        return answer.headers["X-Release"]
