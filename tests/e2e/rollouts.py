"""Deploys on the fleet as tests need them: the real command with --json, its events as they come, load meanwhile."""

import contextlib
import json
import subprocess
import time
from dataclasses import dataclass, field

from e2e import checker
from e2e.fleet import apps
from e2e.fleet.load import Load
from e2e.provisioned import Project
from proc import ROOT, end, wait_until

# Short where the defaults are for people; what is tested does not depend on it.
QUICK = {"rollout.canary": 1, "rollout.bake": 2, "rollout.ready": 60, "rollout.dead_after": 6, "rollout.migrate": 60}


@dataclass
class Outcome:
    """What a deploy did: exit code, events (dicts, as --json has them), stderr, seconds."""

    code: int
    events: list
    stderr: str
    seconds: float = 0.0

    def steps(self, state="done"):
        """(step, host) in the order they came to that state."""
        return [(event["step"], event["host"]) for event in self.events
                if event["event"] == "step" and event["state"] == state]

    def at(self, step, state="done"):
        """When, as time.time() has it, a step last came to that state."""
        return max(event["at"] for event in self.events if event["event"] == "step"
                   and (event["step"], event["state"]) == (step, state))


@dataclass
class Rolling(Outcome):
    """A deploy under way."""

    process: object = None
    code: int = None
    events: list = field(default_factory=list)
    stderr: str = ""

    def until(self, step, host=None, state="start", seconds=60):
        """Read events until a step comes to that state (on a host, or on any); the event."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            line = self.process.stdout.readline()
            assert line, f"the deploy ended before {step}: {self.process.stderr.read()}"
            self.events.append(json.loads(line))
            event = self.events[-1]
            if (event.get("step"), event.get("state")) == (step, state) and host in (None, event["host"]):
                return event
        raise AssertionError(f"no {step} within {seconds} s")

    def finish(self, timeout=240):
        """Wait for its end; itself, an Outcome now."""
        out, self.stderr = self.process.communicate(timeout=timeout)
        self.events += [json.loads(line) for line in out.splitlines()]
        self.code = self.process.returncode
        return self


class Shop(Project):
    """An app on the fleet, and releases of it."""

    def __init__(self, fleet, folder, app="shop"):
        image = fleet.registry.push(apps.echo("v1"), f"{app}:v1")
        super().__init__(fleet, folder, app, image.rpartition(":")[0], **QUICK)
        self.images = {"v1"}

    @property
    def web(self):
        return [self.fleet.hosts[name] for name, host in self.hosts.items() if "web" in host["roles"]]

    def stage(self):
        """Settings: of which kind the database is. Nobody connects to it."""
        done = self.deploy("env", "set", input="DATABASE_URL=postgres://shop@db.example/shop\n")
        assert done.returncode == 0, done.stderr

    def machines(self):
        """Name → Host of all that the app runs on."""
        return {name: self.fleet.hosts[name] for name in self.hosts}

    def image(self, tag, fault=""):
        """The release is in the registry; its tag. A release with another fault needs another tag."""
        if tag not in self.images:
            self.fleet.registry.push(apps.echo(tag, fault), f"{self.app}:{tag}")
            self.images.add(tag)
        return tag

    @contextlib.contextmanager
    def rolling(self, *words):
        """A deploy or rollback while the block runs: `shop.rolling("deploy", "v2")`. It is ended with the block."""
        command = [str(word) for word in self.command(words[0], "--json", *words[1:])]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, start_new_session=True)
        try:
            yield Rolling(process=process)
        finally:
            end(process)
            process.stdout.close()
            process.stderr.close()

    def roll(self, *words, timeout=240):
        """The same to its end; the Outcome."""
        began = time.monotonic()
        with self.rolling(*words) as rolling:
            outcome = rolling.finish(timeout)
        outcome.seconds = time.monotonic() - began
        return outcome

    def bring(self, tag):
        """Have a release committed everywhere, whatever there was."""
        if checker.tags(self) != {tag}:
            outcome = self.roll("deploy", self.image(tag), "--no-bake", "--allow-incompatible")
            assert outcome.code == 0, outcome.stderr

    def load(self, **options):
        """Visitors of all web hosts, and of the balancer."""
        urls = [host.url for host in self.web]
        urls += [self.fleet.hosts[name].url for name, host in self.hosts.items() if host.get("balancer")]
        return Load(*urls, **{"host": f"{self.app}.example", "rate": 60, "seconds": 900, **options})

    def settled(self, seconds=60):
        """Wait until no host is locked any more, as after a deployer's death."""
        state = f"systemctl is-active {self.app}-deploy"
        for host in self.machines().values():
            wait_until(lambda host=host: host.ssh(state).stdout in ("inactive\n", "failed\n"), seconds,
                       f"{host.name} is free")
