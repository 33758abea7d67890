"""make fleet, with a stand-in for Docker: what a call that fails says and leaves, and what the next one mends."""

import resource
import subprocess
import sys

import pytest

from e2e.fleet import fleet as fleets
from e2e.fleet import host, machine
from e2e.fleet.docker import FleetError
from e2e.fleet.names import Names


class Engine:
    """Containers by name, each as its label has it; those of `ends` end as they start; hosts find no inotify instance
    where `limit` is said."""

    def __init__(self):
        self.kept, self.labels, self.calls, self.ends, self.limit = {}, {}, [], set(), ""

    def docker(self, verb, *words, **_):
        self.calls.append((verb, str(words[-1])))
        said, name = "", words[-1]
        if verb == "create":
            name = words[0].partition("=")[2]
            self.kept[name] = "created"
            self.labels[name] = next(word for word in words if ".machine=" in word).partition(".machine=")[2]
        elif verb == "start":
            self.kept[name] = "exited" if name in self.ends else "running"
        elif verb == "rm":
            self.kept.pop(name, None)
        elif verb == "inspect":
            said = self.kept[name]
        elif verb == "run":
            said = self.limit
        elif verb == "network":
            said = "10.200.0.0/24"
        return subprocess.CompletedProcess(words, 0, said + "\n", "")

    def found(self, names):
        """As the engine tells of them."""
        shown = [{"State": {"StartedAt": "0001" if state == "created" else "2026"},
                  "Config": {"Labels": {"slipway.fleet.machine": self.labels[name]}}}
                 for name, state in self.kept.items()]
        return {one.name: one for one in map(machine.from_inspect, shown)}

    def ssh(self, part, command):
        running = self.kept[part.machine.container] == "running"
        return subprocess.CompletedProcess(command, *((0, "running", "") if running else (255, "", "refused")))


@pytest.fixture
def engine(monkeypatch):
    engine = Engine()
    for module in (fleets, host, machine):
        monkeypatch.setattr(module, "docker", engine.docker)
    monkeypatch.setattr(fleets, "machines", engine.found)
    monkeypatch.setattr(fleets, "build", lambda *_, target, **__: f"fleet-{target}")
    monkeypatch.setattr(machine, "machine_options", lambda image: [])
    monkeypatch.setattr(host.Host, "ssh", lambda part, command, **_: engine.ssh(part, command))
    monkeypatch.setattr(host.Registry, "wait_running", lambda self: None)
    return engine


@pytest.fixture
def up(engine, tmp_path):
    """Calls it for two hosts; the containers that this call made."""
    def call():
        engine.calls.clear()
        fleets.up(["web1", "web2"], names=Names(1, tmp_path))
        return sorted(name for verb, name in engine.calls if verb == "rm")
    return call


WEB1, WEB2 = "fleet-00000001-web1", "fleet-00000001-web2"


def test_no_inotify_instances_left(engine, up):
    """The kernel's setting is named, with its value, beside what was made; the next call goes on with what is well."""
    engine.ends, engine.limit = {WEB2}, "128"
    with pytest.raises(FleetError) as error:
        up()
    said, made = str(error.value).splitlines()
    assert said.startswith("web2 has ended as it started: the kernel has no inotify instances left")
    assert "fs.inotify.max_user_instances is 128: sudo sysctl -w fs.inotify.max_user_instances=1024" in said
    assert made.startswith("made in this call: ") and WEB1 in made and WEB2 in made and "fleet-down" in made
    with pytest.raises(FleetError, match="made in this call: nothing;"):
        up()
    engine.ends = set()
    up()
    assert engine.kept[WEB2] == "running" and ("rm", WEB1) not in engine.calls
    assert up() == []


def test_another_failure_is_not_told_as_a_shortage(engine, up):
    """Where instances are to be had it is something else."""
    engine.ends = {WEB1}
    with pytest.raises(FleetError, match="^web1 has ended as it started\nmade in this call: "):
        up()


def test_a_machine_that_is_not_well_is_made_anew(engine, up, monkeypatch):
    """What runs and does not come up, as what was degraded by a shortage, is replaced; the others stay."""
    up()
    degraded = subprocess.CompletedProcess("", 1, "degraded", "")
    well = engine.ssh
    monkeypatch.setattr(engine, "ssh", lambda part, command: degraded if part.name == "web2" and (
        "rm", WEB2) not in engine.calls else well(part, command))
    assert up() == [WEB2]


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
@pytest.mark.parametrize("files, said", [(1024, False), (8, True)])
def test_instances_are_asked_for(files, said):
    """What runs in the container says the limit where there are too few: by the limit of files, which fails alike."""
    done = subprocess.run([sys.executable, "-c", machine.INSTANCES], capture_output=True, text=True, timeout=60,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)))
    assert done.returncode == 0 and done.stdout.strip().isdigit() == said, done.stderr
