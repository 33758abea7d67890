"""Deploys on the fleet: the real command with --json, its events as they happen, and load meanwhile."""

import contextlib
import json
import subprocess
import time
from dataclasses import dataclass, field

from e2e import checker
from e2e.fleet import apps
from e2e.fleet.load import Load
from e2e.provisioned import Project
from proc import end, wait_until

# Defaults are meant for people; these are short, which changes nothing that is tested.
QUICK = {"rollout.canary": 1, "rollout.bake": 2, "rollout.ready": 60, "rollout.dead_after": 6, "rollout.migrate": 60}


@dataclass
class Rolling:
    """A deploy in progress, and from `finish` on its outcome: exit code, events (dicts, as --json has them), stderr."""

    process: subprocess.Popen
    events: list = field(default_factory=list)
    code: int | None = None
    stderr: str = ""

    def done(self):
        """Return the events of steps that are done, in order."""
        return [event for event in self.events if (event["event"], event.get("state")) == ("step", "done")]

    def until(self, step, host=None, state="start", seconds=120):
        """Read events until a step reaches that state (on `host`, or on any). Return the event."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            line = self.process.stdout.readline()
            assert line, f"the deploy ended before {step}: {self.process.stderr.read()}"
            self.events.append(json.loads(line))
            event = self.events[-1]
            if (event.get("step"), event.get("state")) == (step, state) and host in (None, event["host"]):
                return event
        raise AssertionError(f"no {step} within {seconds} s")

    def finish(self):
        """Wait for the deploy's end. Return self, which then is the outcome."""
        out, said = self.process.communicate(timeout=240)
        self.stderr = said.decode(errors="replace")
        self.events += [json.loads(line) for line in out.splitlines()]
        self.code = self.process.returncode
        return self


class Shop(Project):
    """An app on the fleet, and its releases."""

    def __init__(self, fleet, folder, app="shop"):
        image = fleet.registry.push(apps.echo("v1"), f"{app}:v1")
        super().__init__(fleet, folder, app, image.rpartition(":")[0], **QUICK)
        self.images = {"v1"}

    @property
    def web(self):
        return [self.fleet.hosts[name] for name, host in self.hosts.items() if "web" in host["roles"]]

    def stage(self):
        """Set a DATABASE_URL, which names the kind of database. Nobody connects to it."""
        self.set(DATABASE_URL="postgres://shop@db.example/shop")

    def machines(self):
        """Return {name: Host} of all that the app runs on."""
        return {name: self.fleet.hosts[name] for name in self.hosts}

    def image(self, tag, fault=""):
        """Put the release into the registry, if it is not there. Return its tag. Another fault needs another tag."""
        if tag not in self.images:
            self.fleet.registry.push(apps.echo(tag, fault), f"{self.app}:{tag}")
            self.images.add(tag)
        return tag

    @contextlib.contextmanager
    def rolling(self, *words):
        """Run a deploy or rollback for the block: `shop.rolling("deploy", "v2")`. The end of the block ends it."""
        command = [str(word) for word in self.command(words[0], "--json", *words[1:])]
        # Without a buffer, in which what `until` has not asked for would be lost to `finish`.
        process = subprocess.Popen(
            command,
            bufsize=0,
            cwd=self.checkout,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            yield Rolling(process)
        finally:
            end(process)
            process.stdout.close()
            process.stderr.close()

    def roll(self, *words):
        """Run a deploy or rollback to its end. Return the outcome."""
        with self.rolling(*words) as rolling:
            return rolling.finish()

    def good(self, *words):
        """Deploy or roll back, which must succeed. Return the outcome."""
        outcome = self.roll(*words)
        assert outcome.code == 0, outcome.stderr
        return outcome

    def first(self, tag, *options):
        """Provision the hosts, set the settings, and deploy a first release."""
        self.provision()
        self.stage()
        self.good("deploy", tag, *options)

    def bring(self, tag):
        """Make sure that a release is committed everywhere."""
        if checker.tags(self) != {tag}:
            self.good("deploy", self.image(tag), "--no-bake", "--allow-incompatible")

    def load(self, **options):
        """Return a Load of visitors of all web hosts and of the balancer."""
        urls = [host.url for host in self.web]
        urls += [self.fleet.hosts[name].url for name, host in self.hosts.items() if host.get("balancer")]
        return Load(*urls, **{"host": f"{self.app}.example", "rate": 60, "seconds": 900, **options})

    def settled(self, seconds=60):
        """Wait until no host is locked any more, for example after a deployer's death."""
        state = f"systemctl is-active {self.app}-deploy"
        for host in self.machines().values():
            wait_until(
                lambda host=host: host.ssh(state).stdout in ("inactive\n", "failed\n"), seconds, f"{host.name} is free"
            )
