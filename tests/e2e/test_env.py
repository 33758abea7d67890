"""`python -m slipway.deploy env` on real hosts: on all or on none, whole, and never a value shown."""

import re

import pytest

from e2e.provisioned import Project
from proc import ROOT, running, wait_until

ENV, NEXT = "/etc/default/staged.env", "/etc/default/staged.env.next"
HOSTS = ("web1", "work1")


@pytest.fixture(scope="module")
def provisioned(fleet, tmp_path_factory):
    """Two hosts of an app of its own, beside whatever else they have."""
    project = Project(fleet, tmp_path_factory.mktemp("env"), "staged", "registry.example/staged")
    project.hosts = {"web1": {"roles": ["web"]}, "work1": {"roles": ["worker", "beat"]}}
    project.provision()
    yield project
    for host in HOSTS:
        project.provision("--remove", host)
        fleet.hosts[host].run("rm -rf /etc/default/staged* /var/www/staged; userdel staged")


@pytest.fixture
def project(provisioned):
    """The same with a setting that is live, and nothing staged."""
    for name in HOSTS:
        provisioned.fleet.hosts[name].run(
            f"printf '# ours\\nLIVE=1\\n' >{ENV}; chmod 600 {ENV}; rm -rf {NEXT}* /etc/default/staged.secrets/*")
    return provisioned


def texts(project, path):
    """What every host has at the path; nothing where there is no file."""
    return {name: project.fleet.hosts[name].ssh(f"cat {path}").stdout for name in HOSTS}


def left_overs(project):
    """Files that only a write that was broken off can have left."""
    return "".join(project.fleet.hosts[name].run("find /etc/default -name '*.new'") for name in HOSTS)


def state(project, name):
    """What systemd says of the lock."""
    return project.fleet.hosts[name].ssh("systemctl is-active staged-deploy").stdout.strip()


def test_values_are_staged_on_all_hosts(project):
    """Set, set again and unset each add to what is staged; what is live stays; files are root's alone."""
    assert project.deploy("env", "set", "A", "B", input="A=a value\nB=b\n").returncode == 0
    assert project.deploy("env", "set", input="B=c=d\n").returncode == 0
    assert project.deploy("env", "unset", "LIVE").returncode == 0
    assert texts(project, NEXT) == dict.fromkeys(HOSTS, "# ours\nA=a value\nB=c=d\n")
    assert texts(project, ENV) == dict.fromkeys(HOSTS, "# ours\nLIVE=1\n")
    assert project.fleet.hosts["web1"].run(f"stat -c '%a %U %G' {NEXT}") == "600 root root\n"


def test_the_list_shows_names_and_what_is_staged(project):
    """`list` names every setting and what the next deploy makes of it, hosts that differ apart, and no value."""
    project.deploy("env", "set", input="NEW=planted\n")
    project.deploy("--hosts", "work1", "env", "set", input="LIVE=planted\n")
    done = project.deploy("env", "list")
    assert re.sub(" +", " ", done.stdout).splitlines() == [
        "web1:", " LIVE", " NEW staged: set", "work1:", " LIVE staged: changed", " NEW staged: set"]


def test_a_user_with_sudo_may_do_it_too(project):
    """Logged in as somebody who may sudo, all is as for root."""
    project.hosts["web1"]["address"] = "deploy@web1"
    try:
        assert project.deploy("env", "set", input="A=1\n").returncode == 0
    finally:
        del project.hosts["web1"]["address"]
    assert texts(project, NEXT)["web1"].endswith("A=1\n")


def break_file(host):
    host.run(f"echo 'X=\"1\"' >>{ENV}")


def break_disk(host):
    host.run(f"mkdir -p {NEXT}.new/x")  # nothing can be written there


def not_provisioned(host):
    host.run(f"rm {ENV}")


@pytest.mark.parametrize("harm, said", [
    (break_file, "APP.env line 3: X is in quotes"),
    (break_disk, f"{NEXT}.new: Is a directory"),
    (not_provisioned, f"there is no {ENV}: run make provision first"),
])
def test_what_fails_on_one_host_is_done_on_none(project, harm, said):
    """A malformed file, a file that can't be written, no provisioning on one host: all hosts stay as they were."""
    harm(project.fleet.hosts["work1"])
    before = texts(project, ENV)
    done = project.deploy("env", "set-file", "KEY", "-", input="one\ntwo\n")
    assert done.returncode == 2
    assert done.stderr.startswith("deploy: on work1: ") and said in done.stderr
    assert (texts(project, NEXT), texts(project, ENV)) == (dict.fromkeys(HOSTS, ""), before)
    project.fleet.hosts["work1"].run(f"rm -rf {NEXT}.new")
    assert left_overs(project) == "" and texts(project, "/etc/default/staged.secrets/*") == dict.fromkeys(HOSTS, "")


def test_a_deployer_that_is_killed_leaves_nothing(project):
    """Killed while one host keeps it waiting, it leaves no file and no lock on any host."""
    host = project.fleet.hosts["work1"]
    host.run(f"rm {ENV}; mkfifo {ENV}")  # who reads it waits
    with running(["sh", "-c", 'echo A=1 | exec "$@"', "sh", *project.command("env", "set")], cwd=ROOT) as process:
        for name in HOSTS:
            wait_until(lambda: state(project, name) == "active", 30, f"{name} is locked")
        process.kill()
        process.wait(30)
    for name in HOSTS:
        wait_until(lambda: state(project, name) in ("inactive", "failed"), 60, f"{name} is free")
    host.run(f"rm {ENV}; echo LIVE=1 >{ENV}")
    assert texts(project, NEXT) == dict.fromkeys(HOSTS, "") and left_overs(project) == ""
    assert project.deploy("env", "set", input="A=1\n").returncode == 0


def test_a_file_is_for_its_app_alone(project):
    """A value of several lines becomes a file that root writes and the app may read, named anew each time."""
    for content in ("one\ntwo\n", "three\n"):
        assert project.deploy("env", "set-file", "KEY", "-", input=content).returncode == 0
    host = project.fleet.hosts["web1"]
    path = host.run(f"sed -n 's/^KEY_FILE=//p' {NEXT}").strip().replace("/run/secrets", "/etc/default/staged.secrets")
    assert host.run(f"cat {path}") == "three\n"
    assert host.run(f"stat -c '%a %U %G' {path}") == "640 root staged\n"
    assert len(host.run("ls /etc/default/staged.secrets").split()) == 2, "the former stays, for a rollback"
    read = f"setpriv --reuid={{0}} --regid={{0}} --clear-groups cat {path}"
    assert host.run(read.format("staged")) == "three\n"
    assert host.ssh(read.format("nobody").replace("regid=nobody", "regid=nogroup")).returncode != 0
