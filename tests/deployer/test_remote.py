"""Reaching hosts: ssh's command line, compared as it is, and conversations through a stand-in for ssh."""

import os
import shutil
import time
from pathlib import Path

import pytest

from deploy.config import Host
from deploy.errors import DeployError, HostProblem, Locked, Refused, on_hosts
from deploy.remote import BOOT, HOLD, HostLocked, Session, each, lock_words, run, sessions, who
from deploy.ssh import AS_ROOT, Ssh
from proc import run as process

ECHO = """
import json, sys
for line in sys.stdin:
    print(json.dumps({"echo": json.loads(line)}), flush=True)
"""


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """A folder in front of PATH with stand-ins for ssh and sudo; `calls` in it is what ssh was told."""
    for name in ("ssh", "sudo"):
        shutil.copy(Path(__file__).parent / f"{name}-stub", tmp_path / name)
    monkeypatch.setenv("STUB", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def hosts(*names):
    return [Host(name, name) for name in names]


def test_the_ssh_command_is_as_closed_as_can_be():
    """Nothing is asked, nothing forwarded, a dead host is noticed; words arrive as they are, whatever is in them."""
    command = Ssh("my config").command("deploy@web1", ["echo", "a b", "$(id)"])
    options = [command[index + 1] for index, word in enumerate(command) if word == "-o"]
    assert command[:3] == ["ssh", "-F", "my config"]
    assert {"BatchMode=yes", "ServerAliveInterval=5", "ServerAliveCountMax=3", "RequestTTY=no", "ForwardAgent=no",
            "ClearAllForwardings=yes", "ControlPath=none", "ControlMaster=no"} <= set(options)
    assert not [option for option in options if option.startswith("StrictHostKeyChecking")]
    assert command[-3:-1] == ["--", "deploy@web1"]
    done = process(["sh", "-c", command[-1].replace("id -u", "echo 0")])
    assert done.stdout == "a b $(id)\n"


def test_connections_can_be_shared():
    """The owner opens the socket, others only use it."""
    owner = Ssh().command("web1", ["true"], share="/tmp/s", owner=True)
    other = Ssh().command("web1", ["true"], share="/tmp/s")
    assert "ControlMaster=yes" in owner and "ControlMaster=no" in other
    assert "ControlPath=/tmp/s" in owner and "ControlPath=/tmp/s" in other


def test_who_is_not_root_uses_sudo(stub):
    """Words run as they are for root, and through `sudo -n` for anybody else."""
    script = AS_ROOT.replace("id -u", "echo $WHO")
    for uid, words in (("0", ["printf", "%s", "root"]), ("1000", ["printf", "%s", "by sudo"])):
        done = process(["sh", "-c", script, "sh", *words], env={**os.environ, "WHO": uid})
        assert done.stdout == words[2]


def test_a_program_is_talked_to(stub):
    """The program is sent, not installed; what a login greets with does not disturb."""
    for name in ("fine", "greeting"):
        with Session(Host(name, name), Ssh(), ["python3", "-c", BOOT], ECHO) as session:
            assert session.ask({"a": "ü\n"}) == {"echo": {"a": "ü\n"}}
            assert session.ask({}) == {"echo": {}}
    assert "json.loads" not in (stub / "calls").read_text()


def test_a_program_that_reports_problems(stub):
    """An answer with problems is raised as such."""
    with Session(Host("fine", "fine"), Ssh(), ["python3", "-c", BOOT],
                 'print(\'{"problems": ["a", "b"]}\', flush=True)') as session:
        with pytest.raises(HostProblem) as caught:
            session.receive()
    assert caught.value.args == ("a", "b")


def test_a_session_ends_with_its_block(stub):
    """The program sees the end of its input, and has ended when the block has."""
    with Session(Host("fine", "fine"), Ssh(), ["sh", "-c", HOLD]) as session:
        assert session.process.poll() is None
    assert session.process.returncode == 0


@pytest.mark.parametrize("name, said", [
    ("unreachable", "cannot be reached: ssh: connect to host unreachable port 22: Connection refused; try ssh by hand"),
    ("password", "sudo: a password is required: log in as root, or allow it by NOPASSWD in sudoers"),
])
def test_why_a_host_cannot_be_used(stub, name, said):
    """ssh's own failures are told from those of what it ran, in a line."""
    with pytest.raises(HostProblem) as caught:
        Session(Host(name, name), Ssh(), ["sh", "-c", HOLD])
    assert caught.value.args == (said,)


def test_a_host_that_says_nothing_is_given_up(stub):
    """After the timeout a silent host is a problem like any other."""
    with pytest.raises(HostProblem, match="no answer within 0.5 s"):
        Session(Host("silent", "silent"), Ssh(), ["sh", "-c", HOLD], timeout=0.5)
    with pytest.raises(HostProblem, match="no answer within 0.5 s"):
        run(Host("silent", "silent"), Ssh(), ["true"], timeout=0.5)


def test_a_host_that_reads_nothing_is_given_up(stub):
    """What it is told is more than a pipe takes: nothing waits for the rest, neither telling it nor closing."""
    began = time.monotonic()
    with pytest.raises(HostProblem, match="takes no input within 0.5 s"):
        Session(Host("silent", "silent"), Ssh(), ["python3", "-c", BOOT], "#" * 2**20, timeout=0.5)
    assert time.monotonic() - began < 10


def test_a_connection_that_is_cut_is_said(stub):
    """A connection lost in the middle of a conversation is a problem of that host."""
    with Session(Host("cut", "cut"), Ssh(), ["sh", "-c", HOLD]) as session:
        with pytest.raises(HostProblem, match="cannot be reached: Connection to cut closed"):
            session.receive()


def test_all_hosts_are_told_of_in_one_report(stub):
    """What is wrong with several hosts is said once, after their names."""
    with pytest.raises(Refused) as caught:
        with sessions(hosts("unreachable", "password", "fine"), Ssh(), ["sh", "-c", HOLD]):
            pass
    lines = str(caught.value).splitlines()
    assert len(lines) == 2 and lines[0].startswith("on password: sudo") and lines[1].startswith("on unreachable: ")
    assert on_hosts({"b": ["x"], "a": ["x", "y"]}) == "on a, b: x\non a: y"


def test_a_lock_outranks_other_problems():
    """Where one host is locked, that is what the exit code says; else it is what the caller asked for."""
    def locked(host):
        raise HostLocked("locked: by me") if host.name == "b" else HostProblem("broken")

    def broken(host):
        raise HostProblem("broken")
    with pytest.raises(Locked, match="on a: broken\non b: locked: by me") as caught:
        each(hosts("a", "b"), locked)
    assert caught.value.exit_code == 4
    with pytest.raises(DeployError) as caught:
        each(hosts("a"), broken, DeployError)
    assert caught.value.exit_code == 1


def test_who_is_beaten_to_the_lock_is_told_so(stub):
    """Of two who come at the same moment systemd lets one in; the other is not told of a failure."""
    with pytest.raises(Locked, match="on taken: locked: by somebody who came a moment before"):
        with sessions(hosts("taken"), Ssh(), ["sh", "-c", HOLD], lock=("shop", "env by ann")):
            pass


def test_the_lock_is_a_unit_that_says_who():
    """The lock's words name the unit after the app, and describe its holder."""
    words = lock_words("shop", who("provision"))
    assert "--unit=shop-deploy" in words and {"--pipe", "--wait", "--collect"} <= set(words)
    described = next(word for word in words if word.startswith("--description="))
    assert described.startswith("--description=provision ") and " since 20" in described


def test_a_host_that_says_more_than_can_be_is_given_up(stub):
    """Neither a conversation nor a command takes what has no end."""
    endless = Host("endless", "endless")
    with pytest.raises(HostProblem, match="makes no sense .a line of more than 4 MB"):
        Session(endless, Ssh(), ["sh", "-c", HOLD])
    with pytest.raises(HostProblem, match="makes no sense .more than 16 MB"):
        run(endless, Ssh(), ["true"])


@pytest.mark.parametrize("said, text", [
    ("[1]", "a list"), ('{"files": 1}', "files is such a number"), ("{", "not JSON"),
    ('{"problems": [1]}', "problems"), ('{"files": {}}', "files.a is missing")])
def test_answers_that_make_no_sense(stub, said, text):
    """An answer has the shape that was asked for, or is a problem of its host."""
    with Session(Host("fine", "fine"), Ssh(), ["python3", "-c", BOOT], f"print({said!r}, flush=True)") as session:
        with pytest.raises(HostProblem, match="makes no sense") as caught:
            session.receive({"files": {"a": str}})
    assert text in str(caught.value)
