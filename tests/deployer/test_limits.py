"""Many hosts, and few files that may be open: the limit is raised, or what it is too low for is refused."""

import sys

import pytest

from proc import ROOT, run

# Reaches so many hosts, as any command does; how many files are open then, besides those before, and the limit.
SCRIPT = """
import asyncio, os, resource, sys
from slipway.deploy.config import Fleet, Host
from slipway.deploy.errors import Refused
from slipway.deploy.ssh.connections import Connections

def files():
    return len(os.listdir("/dev/fd"))

async def reach(hosts):
    before = files()
    async with Connections(Fleet("shop", "shop", hosts), [*hosts]) as connections:
        problems = await connections.reach()
        print(len(connections.hosts), problems, files() - before, resource.getrlimit(resource.RLIMIT_NOFILE))
try:
    asyncio.run(reach(tuple(Host(f"web{number}", "mute") for number in range(int(sys.argv[1])))))
except Refused as problem:
    print(problem)
"""


def reach(hosts, limit):
    done = run(["sh", "-c", f'ulimit {limit} && exec "$@"', "sh", sys.executable, "-c", SCRIPT, hosts], cwd=ROOT,
               timeout=60)
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout.splitlines()[-1]


def test_a_low_limit_is_raised(stub):
    """200 hosts at 256 files: as far as they need it, no further; 48 need no more.
    An event loop has three of its own."""
    said = reach(200, "-S -n 256 && ulimit -H -n 1024")
    assert said.startswith("200 {} ") and said.endswith(" (864, 1024)")
    assert 400 <= int(said.split()[2]) <= 603, "all but stdout, which a mute host has closed; newer Pythons: a pidfd"
    assert reach(48, "-n 256").endswith(" (256, 256)")


@pytest.mark.parametrize("hosts, limit", [(49, 256), (1000, 1024)])
def test_too_many_hosts_are_refused(stub, hosts, limit):
    """In a line, before any is connected to."""
    need = 4 * hosts + 64
    assert reach(hosts, f"-n {limit}") == (f"{hosts} hosts need {need} open files, the limit is {limit}: raise it with"
                                           f" ulimit -n {need}, or name fewer by --hosts")
    assert not (stub / "calls").exists()


def test_an_ssh_that_does_not_start_is_told(stub):
    """As where a machine has no room for more processes: in words, not by a traceback."""
    (stub / "ssh").write_bytes(b"\0")
    assert reach(1, "-n 256 && PATH=$STUB").startswith("0 {'web0': ['ssh does not start here: Exec format error']} ")
