"""Provisioning: its output, its order and its failures; and the operations of its recipe."""

import asyncio
import contextlib
import functools
import io
import re
import textwrap
from types import SimpleNamespace

import pytest

from deployer.conftest import fleet_of
from deployer.recipes import Host, Plan
from proc import ROOT
from slipway.deploy import config
from slipway.deploy.errors import DeployError, HostProblem, Refused
from slipway.deploy.provisioning import provision as provisioning
from slipway.deploy.provisioning.fitness import Inspection
from slipway.deploy.server import files
from slipway.deploy.ssh import connection, connections
from slipway.deploy.ssh.child import Done


def test_a_host_can_be_removed_that_the_file_no_longer_knows(fleet):
    assert provisioning.host_to_remove(fleet, "web1").address == "root@web1.example"
    assert provisioning.host_to_remove(fleet, "root@web1.example").name == "web1"
    assert provisioning.host_to_remove(fleet, "old.example") == config.Host("old.example", "old.example")


class Connection(Host):
    """A stand-in for Connection; `hosts`: see the fixture."""

    def __init__(self, hosts, host, *extra):
        super().__init__(failing=hosts.failing.get(host.name, "nothing fails"))
        self.note = lambda what: hosts.log.append((host.name, what))

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
    """Stand-ins for hosts. `log`: (host, action); `outputs`: host → its inspection; `failing`: host → what fails."""
    found = SimpleNamespace(outputs={}, log=[], failing={})
    monkeypatch.setattr(connections, "Connection", functools.partial(Connection, found))

    async def at_host(host, ssh, words, check=False):
        if words[0] == "systemd-analyze":
            return Done(int("25:00" in words), b"", b"Failed to parse '25:00'\n")
        if len(words) == 3:
            return await Host().command(words[-1])
        found.log.append((host.name, "inspect"))
        if isinstance(found.outputs.get(host.name), HostProblem):
            raise found.outputs[host.name]
        said = f"{found.outputs.get(host.name, '')}\n"
        return Done(0, said.encode(), b"")

    monkeypatch.setattr(connection, "run", at_host)
    return found


def provision(fleet, names=("web1", "web2"), **options):
    """Provision; return the number of changes or the error, and the output."""
    chosen = [host for host in fleet.hosts if host.name in names]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            return asyncio.run(provisioning.provision(fleet, chosen, **options)), out.getvalue()
        except DeployError as error:
            return error, out.getvalue()


def test_all_hosts_are_inspected_and_locked_before_anything_changes(fleet, hosts):
    changes, said = provision(fleet)
    assert changes > 40 and said.endswith(f"{changes} changes (web1 {changes // 2}, web2 {changes // 2})\n")
    assert sorted(hosts.log[:2]) == [("web1", "inspect"), ("web2", "inspect")]
    assert sorted(hosts.log[2:4]) == [("web1", "open"), ("web2", "open")]
    assert sorted(hosts.log[4:6]) == [("web1", "lock"), ("web2", "lock")]
    assert sorted(hosts.log[6:]) == [(name, what) for name in ("web1", "web2") for what in ("close", "end")]


def test_what_is_wrong_with_all_hosts_is_told_at_once(fleet, hosts):
    hosts.outputs.update(web1=HostProblem("cannot be reached"), web2="missing systemd\nmissing apt-get")
    error, said = provision(fleet)
    assert isinstance(error, Refused) and said == ""
    assert (
        str(error) == "on web1: cannot be reached\non web2: has no apt-get: use Debian or Ubuntu\n"
        "on web2: does not run systemd: use Debian or Ubuntu with systemd"
    )
    assert {what for _, what in hosts.log} == {"inspect"}


@pytest.mark.parametrize("time, refused", [("25:00", True), ("daily", False)])
def test_a_time_that_systemd_does_not_know_is_told_before_anything_changes(data, hosts, time, refused):
    """Only where a command runs by it. A removal does not ask."""
    changes = {"process": {"digest": {"command": "x", "schedule": time}}, "hosts.web1.roles": ["web", "digest"]}
    error, said = provision(fleet_of(data, changes))
    if refused:
        assert (str(error), said) == ("on web1: process: schedule: Failed to parse '25:00'", "")
    else:
        assert isinstance(error, int)
    assert isinstance(provision(fleet_of(data, changes), remove="web1")[0], int)


APART = {
    "web1": {"roles": ["web"], "internal": "10.0.0.11"},
    "web2": {"roles": ["web"], "internal": "10.0.0.12"},
    "db1": {"roles": ["postgres"], "internal": "10.0.0.20"},
}


@pytest.mark.parametrize("chosen", [["web1", "db1"], ["db1"], ["web1"]])
def test_hosts_that_send_backups_have_names_of_their_own(data, hosts, chosen):
    """restic would remove the living locks of another host with this name."""
    hosts.outputs.update(dict.fromkeys(APART, "hostname debian"))
    error, said = provision(fleet_of(data, {"hosts": APART, "backup": {"to": "/srv/backup"}}), chosen)
    assert isinstance(error, Refused) and str(error).startswith("db1 and web1 have one host name, debian, and would")
    assert said == "" and {what for _, what in hosts.log} == {"inspect"}


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ({"web1": "debian", "web2": "debian", "db1": "data"}, ["web1", "web2", "db1"]),
        ({"web1": "debian", "db1": "debian"}, ["web2"]),
        ({"web1": "debian"}, ["web1"]),
        ({}, ["web1", "db1"]),
    ],
)
def test_other_hosts_may_share_a_name(data, hosts, names, chosen):
    """So may those of which one cannot be asked, and all without backups."""
    hosts.outputs.update({name: f"hostname {text}" for name, text in names.items()})
    if "db1" not in names:
        hosts.outputs["db1"] = HostProblem("cannot be reached")
    inspections = {name: Inspection(hostname=names.get(name, "")) for name in chosen}
    fleet = fleet_of(data, {"hosts": APART, "backup": {"to": "/srv/backup"}})
    asyncio.run(provisioning.check_names(fleet, inspections))
    alike = {name: Inspection(hostname="debian") for name in APART}
    asyncio.run(provisioning.check_names(fleet_of(data, {"hosts": APART}), alike))


def test_a_drain_needs_no_names(fleet, hosts):
    hosts.outputs["front"] = f"site blog {' '.join(fleet.site['names']) or '_'}"
    assert isinstance(provision(fleet, ["front"])[0], Refused)
    assert asyncio.run(provisioning.drain(fleet, fleet.balancers, "web1", True)) == 2


def test_check_takes_no_lock(fleet, hosts):
    changes, said = provision(fleet, check=True)
    assert "web1, web2: would add user shop\n" in said and f"{changes} changes to make" in said
    assert {what for _, what in hosts.log} == {"inspect", "open", "close"}


def test_a_host_that_fails_keeps_no_other(fleet, hosts):
    hosts.failing["web1"] = "groupadd"
    error, said = provision(fleet)
    assert type(error) is DeployError and str(error) == "on web1: add group shop: some words\n  it failed"
    assert "web1, web2: write /etc/default/shop\nweb2: add group shop\n" in said
    assert {("web1", "end"), ("web2", "end")} <= set(hosts.log)


SYSTEM, JOURNALD = "/etc/systemd/system", "/etc/systemd/journald.conf.d/10-slipway.conf"
CERTIFICATE = "/etc/letsencrypt/live/shop.example/fullchain.pem"


def test_a_bare_host_gets_all_of_it_in_order(fleet):
    """After packages comes the file that marks the app's name as ours; each operation follows those that it needs."""
    names = Plan(fleet, "web1", Inspection(missing=frozenset({"dockerd", "docker", "nginx"}))).names
    assert names[:7] == [
        "keep nginx.service from starting",
        "install docker.io, nginx",
        "allow nginx.service to start",
        "install docker-cli, if Debian has it",
        "write /etc/default/shop",
        "add group shop",
        "add user shop",
    ]
    order = [
        "make folder /etc/default/shop.secrets",
        f"make folder {SYSTEM}/docker.service.d",
        f"write {SYSTEM}/docker.service.d/restart.conf",
        f"write {JOURNALD}",
        "reload systemd",
        "restart systemd-journald.service",
        "enable docker.service",
        "reload docker.service",
        "create the paths of /etc/tmpfiles.d/shop.conf",
        "install nginx site shop",
        "enable nginx.service",
        "enable shop.target",
    ]
    assert [name for name in names if name in order] == order


@pytest.mark.parametrize(("name", "unmasks"), [("web1", True), ("front", True), ("work", False)])
def test_nginx_that_a_killed_provisioning_left_masked_starts(fleet, name, unmasks):
    """The agent may be killed while apt works, or after it: the next provisioning allows nginx to start."""
    names = Plan(fleet, name, Inspection(masked=True)).names
    assert ("allow nginx.service to start" in names) == unmasks and "keep nginx.service from starting" not in names
    if unmasks:
        assert names.index("allow nginx.service to start") < names.index("enable nginx.service")
    assert "allow nginx.service to start" not in Plan(fleet, name).names


def test_files_are_written_with_owner_and_mode(fleet):
    written = Plan(fleet, "web1").files
    host = fleet.hosts[0]
    for file in (*files.app_files(fleet, host), *files.unit_files(fleet, host)):
        assert written[file.path] == (file.content, file.mode, file.user, file.group)
    for path, mode in (
        ("/etc/default/shop.env", "600"),
        ("/usr/local/bin/docker-slot", "755"),
        ("/etc/default/shop", "644"),
        ("/etc/tmpfiles.d/shop.conf", "644"),
    ):
        assert written[path][1:] == (mode, "root", "root")
    assert [file.path for file in files.app_files(fleet, host) if file.once] == ["/etc/default/shop.env"]


def test_folders_have_the_owners_and_modes_of_the_table(fleet, data):
    def made(plan, path):
        first = plan.scripts.index(f"mkdir -p {path}")
        return [script.split()[1] for script in plan.scripts[first + 1 : first + 3] if script.endswith(f" {path}")]

    plan = Plan(fleet, "web1")
    for path, *owned in (
        ("/etc/default/shop.secrets", "750", "root:shop"),
        ("/var/www/shop", "755", "root:root"),
        ("/var/www/shop/static", "755", "root:root"),
    ):
        assert made(plan, path) == owned
    assert made(plan, "/etc/docker") == [], "others use it, too"
    one = Plan(fleet_of(data, {"hosts": {"one": {"roles": ["web"]}}, "media": "local"}), "one")
    for path, *owned in (("/var/www/shop/media", "2750", "shop:www-data"), ("/var/www/shop/data", "700", "shop:shop")):
        assert f"make folder {path}" not in plan.names and made(one, path) == owned


def test_certbot_is_asked_only_while_there_is_no_certificate(data):
    """Without a certificate nginx first serves http, also if it was just installed, so that certbot's challenge
    succeeds; https follows."""
    fleet = fleet_of(data, {"site.tls": "certbot", "site.email": "ops@shop.example"})
    before, after = Plan(fleet, "front"), Plan(fleet, "front", there=f"f|root|root|644||{CERTIFICATE}\n")
    put, get = "install nginx site shop-balancer", "get a certificate for shop.example, www.shop.example"
    start = "enable nginx.service"
    assert [name for name in before.names if name in (put, start, get)] == [put, start, get, put]
    (script,) = (script for script in before.scripts if script.startswith("certbot "))
    assert "--email ops@shop.example --webroot -w /var/www/acme" in script
    assert script.endswith("-d shop.example -d www.shop.example")
    assert [name for name in after.names if name in (put, get)] == [put]


def test_the_example_of_the_docs(fleet):
    section = (ROOT / "docs/provision.md").read_text().split("## Operations of your own\n")[1].split("\n- ")[0]
    example = {}
    exec(textwrap.dedent("\n".join(re.findall(r"^(?: {4}.*|)$", section, re.MULTILINE))), example)
    names = ["install updates every night", "install Redis's client"]
    assert Plan(fleet, "work", team=example["provision"]).names[-2:] == names
    assert Plan(fleet, "web1", team=example["provision"]).names[-1] == names[0]
