"""How provisioning goes about it: what it says, in which order it inspects, locks and works, and how it fails."""

import asyncio
import io
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from slipway.deploy import config
from slipway.deploy.errors import DeployError, HostProblem, Locked, Refused
from slipway.deploy.provisioning import provision as provisioning
from slipway.deploy.ssh import connection, connections
from slipway.deploy.ssh.process import Done
from deployer.recipes import Host
from proc import ROOT, run


@pytest.mark.parametrize("check, changes, said", [
    # However the hosts come along, the report is in the order of the steps; what is done twice is one change.
    (False, {"b": ["one", "two", "one"], "a": ["one", "more", "two"]}, [
        "a, b: one", "a: more", "a, b: two", "5 changes (a 3, b 2, c 0)"]),
    (False, {}, ["0 changes (a 0, b 0, c 0)"]),
    (True, {"c": ["x"]}, ["c: would x", "1 change to make (a 0, b 0, c 1)"])])
def test_a_change_is_a_line_with_its_hosts(check, changes, said):
    """And the sum of them is the last."""
    out = io.StringIO()
    total = provisioning.changes(out, check, {"a": [], "b": [], "c": [], **changes})
    assert out.getvalue().splitlines() == said and said[-1].startswith(f"{total} ")


def test_a_host_can_be_removed_that_the_file_no_longer_knows(fleet):
    """--remove takes a name or address of the file, or any other address."""
    assert provisioning.host_to_remove(fleet, "web1").address == "root@web1.example"
    assert provisioning.host_to_remove(fleet, "root@web1.example").name == "web1"
    assert provisioning.host_to_remove(fleet, "old.example") == config.Host("old.example", "old.example")


class Connection(Host):
    """Stands in for a Connection; `log` is what all of them did."""

    log, wrong, failing = [], {}, {}

    def __init__(self, host, *more):
        super().__init__(failing=self.failing.get(host.name, "nothing fails"))
        self.name = host.name

    def note(self, what):
        self.log.append((self.name, what))
        if (self.name, what) in self.wrong:
            raise self.wrong[self.name, what]

    async def open(self):
        self.note("open")

    async def lock(self, description, dead_after, bare=False):
        assert description.startswith(("provision ", "remove ", "drain ", "undrain ")) and bare
        self.note("lock")

    async def end(self):
        self.note("end")

    async def close(self):
        self.note("close")


@pytest.fixture
def hosts(monkeypatch, fleet):
    """What is done on the hosts of a fleet, and what goes wrong: `said` is what the inspection says of each."""
    found = SimpleNamespace(said={}, log=[], wrong={}, failing={})
    mine = type("Mine", (Connection,), {"log": found.log, "wrong": found.wrong, "failing": found.failing})
    monkeypatch.setattr(connections, "Connection", mine)

    async def at_host(host, ssh, words, input=b"", timeout=60):
        if len(words) == 3:
            return await Host().command(words[-1])
        found.log.append((host.name, "inspect"))
        if isinstance(found.said.get(host.name), HostProblem):
            raise found.said[host.name]
        said = f"{found.said.get(host.name, '')}\nend\n"
        return Done(0, said.encode(), b"")
    monkeypatch.setattr(connection, "run", at_host)
    return found


def provision(fleet, names=("web1", "web2"), **options):
    """(number of changes or the error, what was said)"""
    out = io.StringIO()
    chosen = [host for host in fleet.hosts if host.name in names]
    try:
        return asyncio.run(provisioning.provision(fleet, chosen, out=out, **options)), out.getvalue()
    except DeployError as error:
        return error, out.getvalue()


def test_all_hosts_are_inspected_and_locked_before_anything_changes(fleet, hosts):
    """In the end each lock is given back."""
    changes, said = provision(fleet)
    assert changes > 40 and said.endswith(f"{changes} changes (web1 {changes // 2}, web2 {changes // 2})\n")
    assert sorted(hosts.log[:2]) == [("web1", "inspect"), ("web2", "inspect")]
    assert sorted(hosts.log[2:4]) == [("web1", "open"), ("web2", "open")]
    assert sorted(hosts.log[4:6]) == [("web1", "lock"), ("web2", "lock")]
    assert sorted(hosts.log[6:]) == [(name, what) for name in ("web1", "web2") for what in ("close", "end")]


def test_what_is_wrong_with_all_hosts_is_told_at_once(fleet, hosts):
    """One report, and nothing more is done."""
    hosts.said.update(web1=HostProblem("cannot be reached"), web2="missing systemd\nmissing apt-get")
    error, said = provision(fleet)
    assert isinstance(error, Refused) and said == ""
    assert str(error) == "on web1: cannot be reached\non web2: is not Debian or Ubuntu: there is no apt-get\n" \
                         "on web2: does not run systemd"
    assert {what for _, what in hosts.log} == {"inspect"}


def test_a_lock_that_somebody_has_keeps_all_hosts_as_they_are(fleet, hosts):
    """Locked, with exit code 4; what was connected is closed."""
    hosts.wrong["web2", "lock"] = HostProblem("locked: deploy by ann", locked=True)
    error, said = provision(fleet)
    assert isinstance(error, Locked) and str(error) == "on web2: locked: deploy by ann" and said == ""
    assert {("web1", "close"), ("web2", "close")} <= set(hosts.log)


def test_check_takes_no_lock(fleet, hosts):
    """It connects and looks."""
    changes, said = provision(fleet, check=True)
    assert "web1, web2: would add user shop\n" in said and f"{changes} changes to make" in said
    assert {what for _, what in hosts.log} == {"inspect", "open", "close"}


def test_a_host_that_fails_keeps_no_other(fleet, hosts):
    """The others are brought on; the failure is told at the end, and locks are given back."""
    hosts.failing["web1"] = "groupadd"
    error, said = provision(fleet)
    assert type(error) is DeployError and str(error) == "on web1: add group shop: some words\n  it failed"
    assert "web1, web2: write /etc/default/shop\nweb2: add group shop\n" in said
    assert {("web1", "end"), ("web2", "end")} <= set(hosts.log)


def test_pyinfra_that_is_not_installed_is_said(tmp_path):
    """In a line, with what to do, before any host is reached."""
    shutil.copy(Path(__file__).parent / "ssh-stub", tmp_path / "ssh")
    done = run([sys.executable, "-S", "-m", "slipway.deploy", "provision"], cwd=ROOT, env={
        **os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOSTS": "web1", "APP": "shop", "IMAGE": "shop"})
    assert (done.returncode, done.stderr) == (
        2, "deploy: provisioning needs pyinfra, which is not installed: run make provision\n")
