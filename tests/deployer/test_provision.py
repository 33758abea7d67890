"""What provisioning says."""

import io
from types import SimpleNamespace
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from deploy import config, provision
from deploy.config import Host
from deploy.errors import HostProblem
from deploy.provision import Progress, host_to_remove
from deployer.conftest import TOML

HOSTS = [Host("a", "a"), Host("b", "b"), Host("c", "c")]


def report(check, *changes):
    out = io.StringIO()
    progress = Progress(out, check)
    for host, text in changes:
        progress.changed(host, text)
    return progress.summary(HOSTS), out.getvalue().splitlines()


def test_a_change_is_a_line_with_its_hosts_in_the_order_of_the_steps():
    """However the hosts' threads come along, the report is the same."""
    changes = [("b", "one"), ("b", "two"), ("a", "one"), ("a", "more"), ("a", "two")]
    lines = ["a, b: one", "a: more", "a, b: two", "5 changes (a 3, b 2, c 0)"]
    assert report(False, *changes) == (5, lines)
    assert report(False, *changes[2:], *changes[:2])[1] == lines


def test_no_change_and_one_are_said_as_one_says_it():
    """0 changes, 1 change; with --check what would be, and to make."""
    assert report(False) == (0, ["0 changes (a 0, b 0, c 0)"])
    assert report(True, ("c", "x")) == (1, ["c: would x", "1 change to make (a 0, b 0, c 1)"])


def test_what_takes_long_is_said_before():
    """Installing packages or stopping units is announced, but not by --check, which does not do it."""
    for check, said in ((False, "a: install nginx …\n"), (True, "")):
        out = io.StringIO()
        Progress(out, check).begin("a", "install nginx")
        assert out.getvalue() == said


def test_a_host_can_be_removed_that_the_file_no_longer_knows(fleet):
    """--remove takes a name or address of the file, or any other address."""
    assert host_to_remove(fleet, "web1").address == "root@web1.example"
    assert host_to_remove(fleet, "root@web1.example").name == "web1"
    assert host_to_remove(fleet, "old.example") == Host("old.example", "old.example")


@settings(max_examples=300, deadline=None, database=None)
@given(st.lists(st.tuples(st.sampled_from(["version", "daemon", "problem", "end", "swarm", "unit", "x"]), st.one_of(
    st.text(max_size=8), st.sampled_from(["systemd ²", "nothing 1", "W10=", "W1td", "systemd " + "9" * 5000]))).map(
    " ".join), max_size=6))
def test_a_probe_that_says_anything(lines):
    """Whatever comes back, it is understood, or is one problem of that host."""
    done = SimpleNamespace(returncode=0, stdout="\n".join([*lines, "end"]).encode(errors="replace"), stderr=b"")
    with mock.patch.object(provision, "run", lambda *words: done):
        try:
            assert provision.look(config.build(TOML, {}, "x"), HOSTS[0], None)
        except HostProblem as problem:
            assert problem.args
