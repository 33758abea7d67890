"""How pyinfra works here: with --check as without, what fails, and a team's own part."""

import io
import sys

import pytest
from pyinfra.operations import files, server

from slipway.deploy.errors import Refused
from slipway.deploy.provisioning import provision as provisioning
from slipway.deploy.provisioning.connector import stdin
from deployer.recipes import STAT, Here, Host, work


def test_what_takes_long_is_said_before():
    """An operation with a _timeout is announced, but not by --check, which does not do it."""
    def call():
        server.shell(name="short", commands="true")
        server.shell(name="long", commands="true", _timeout=9)
    for check, said in ((False, [("web1", "long")]), (True, [])):
        announced = []
        work(call, check=check, announced=announced)
        assert announced == said
    out = io.StringIO()
    provisioning.announce(out, "a", "install nginx")
    assert out.getvalue() == "a: install nginx …\n"


@pytest.mark.parametrize("check", [False, True])
def test_what_follows_a_change_follows_it(check):
    """_if and did_change mean the same with --check: what depends on what changes nothing is no change."""
    there = Host({"test -L /there": STAT.format("/there").replace("-rw-r--r--", "drwxr-xr-x")})
    said = []

    def call():
        one, two = (files.directory(name=path, path=path) for path in ("/there", "/nothing"))
        said.append((one.did_change(), two.did_change()))
        server.shell(name="after one", commands="one", _if=one.did_change)
        server.shell(name="after two", commands="two", _if=two.did_change)
        server.shell(name="after both", commands="both", _if=[one.did_change, two.did_change])
    session, problem = work(call, there, check)
    assert problem is None and said == [(False, True)] and session.changes("web1") == ["/nothing", "after two"]
    done = [script for script in there.asked if "stat" not in script]
    assert done == ([] if check else ["sh -c 'mkdir -p /nothing'", "sh -c two"])


@pytest.mark.parametrize("check", [False, True])
def test_what_fails_ends_it(check):
    """Its name and what the command said are the problem; what was done before is told; nothing comes after. Nothing
    is decided by a fact that could not be had. A mistake is told by its file and line."""
    def call():
        for name in ("one", "two", "three"):
            server.shell(name=name, commands=name)
    host = Host(failing="two")
    if not check:
        session, problem = work(call, host)
        assert str(problem) == "two: some words\nit failed" and session.changes("web1") == ["one"]
        assert host.asked == ["sh -c one", "sh -c two"]
    host = Host(failing="stat")
    _, problem = work(lambda: files.directory(name="make", path="/x"), host, check)
    assert str(problem) == "make: " * (not check) + "some words\nit failed" and len(host.asked) == 1
    _, problem = work(lambda: server.shell(name="one", commands=1 / 0), check=check)
    assert str(problem).endswith("ZeroDivisionError: division by zero") and "session.py, line" in str(problem)


def test_commands_get_their_input_and_codes():
    """_stdin as pyinfra means it, and _success_exit_codes."""
    assert (stdin(None), stdin("a"), stdin(["a", "b\n"])) == (b"", b"a\n", b"a\nb\n")
    said = []

    def call():
        said.append(server.shell(name="one", commands="cat; exit 3", _stdin="ü", _success_exit_codes=[3]).stdout)
    _, problem = work(call, Here())
    assert problem is None and said == ["ü"]


# ---- the team's own part ----

def loaded(monkeypatch, tmp_path, text):
    """What operations_of_the_team makes of that file."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/provision_more.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, provisioning.MORE, raising=False)
    return provisioning.operations_of_the_team()


def test_a_team_s_part_is_called(monkeypatch, tmp_path, fleet):
    """With the fleet and the host; without the file nothing is done."""
    assert provisioning.operations_of_the_team()(fleet, fleet.hosts[0]) is None
    function = loaded(monkeypatch, tmp_path, "def provision(fleet, host):\n    return fleet.app, host.name\n")
    assert function(fleet, fleet.hosts[0]) == ("shop", "web1")


@pytest.mark.parametrize("text, said", [
    ("def provision(", "SyntaxError"), ("import nowhere", "No module named 'nowhere'"),
    ("x = 1 / 0", "division by zero"), ("", "has no attribute 'provision'")])
def test_a_team_s_part_that_cannot_be_read_is_refused(monkeypatch, tmp_path, text, said):
    """Before anything else is done."""
    with pytest.raises(Refused, match=r"^deploy/provision_more.py: .*" + said):
        loaded(monkeypatch, tmp_path, text)
