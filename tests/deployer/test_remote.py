"""What provisioning still reaches hosts by, through a stand-in for ssh."""

import time

import pytest

from deploy.config import Host
from deploy.errors import HostProblem, Locked, Refused
from deploy.lock import who
from deploy.remote import HOLD, Session, lock_words, run, sessions
from deploy.ssh import Ssh


def hosts(*names):
    return [Host(name, name) for name in names]


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
        Session(Host("silent", "silent"), Ssh(), ["sh", "-c", HOLD], "#" * 2**20, timeout=0.5)
    assert time.monotonic() - began < 10


def test_a_connection_that_is_cut_is_said(stub):
    """A connection lost in the middle of a conversation is a problem of that host."""
    with Session(Host("cut", "cut"), Ssh(), ["sh", "-c", HOLD]) as session:
        with pytest.raises(HostProblem, match="cannot be reached: Connection to cut closed"):
            session._line(time.monotonic() + 20)


def test_all_hosts_are_told_of_in_one_report(stub):
    """What is wrong with several hosts is said once, after their names."""
    with pytest.raises(Refused) as caught:
        with sessions(hosts("unreachable", "password", "fine"), Ssh(), ["sh", "-c", HOLD]):
            pass
    lines = str(caught.value).splitlines()
    assert len(lines) == 2 and lines[0].startswith("on password: sudo") and lines[1].startswith("on unreachable: ")


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
