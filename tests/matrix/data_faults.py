"""The columns of the data's matrix: what happens to a host, its database and the backups' place in the middle of an
action."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from e2e import repository
from slipway.fleet.docker import docker

# What docker-backup, the agent, or docker-service works with, whatever began it.
PROGRAMS = "pkill -KILL -f '[/]usr/local/lib/docker-backup|[/]usr/local/bin/docker-(backup|service)|[s]hop-deploy'"
HANG = 40  # seconds that a place does not answer, longer than pgBackRest's own patience
SLOW = 30


@dataclass(frozen=True)
class Fault:
    """`happens`: a context manager of a Cell; its end mends what does not mend itself. `stops`: True if visitors may
    see errors, as the database or the host is away."""

    name: str
    happens: Callable
    stops: bool = False


FAULTS: dict[str, Fault] = {}


def fault(name, **options):
    def add(function):
        FAULTS[name] = Fault(name, contextlib.contextmanager(function), **options)
        return function

    return add


@fault("nothing")
def nothing(cell):
    yield


@fault("the command is killed")
def command_killed(cell):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(cell.process.pid, signal.SIGKILL)
    yield


@fault("the host's program is killed")
def program_killed(cell):
    cell.host.console(PROGRAMS, check=False)
    yield


@fault("the container that works is killed")
def container_killed(cell):
    cell.host.console("docker ps --quiet --filter name=orders-pgbackrest | xargs -r docker kill", check=False)
    yield


@fault("Postgres is killed", stops=True)
def postgres_killed(cell):
    cell.host.console("docker kill orders-postgres", check=False)
    yield


@fault("dockerd is killed", stops=True)
def dockerd_killed(cell):
    cell.host.console("pkill -9 -x dockerd")
    yield


@fault("the host loses power", stops=True)
def power_cut(cell):
    cell.host.power_cut()
    cell.finish()
    cell.host.power_on()
    yield


@fault("the place refuses")
def place_refuses(cell):
    with filtered(cell, "REJECT --reject-with tcp-reset"):
        cell.finish()
    yield


@fault("the place hangs")
def place_hangs(cell):
    with filtered(cell, "DROP"):
        time.sleep(HANG)
    yield


@contextlib.contextmanager
def filtered(cell, target):
    """Let no packet of ssh come through between the host and the place, in the connections that are open, too."""
    rule = f"OUTPUT -p tcp -d {cell.shop.nas.address} --dport 22 -j {target}"
    cell.host.console(f"iptables -w -I {rule}")
    try:
        yield
    finally:
        cell.host.console(f"iptables -w -D {rule}")


@fault("the place is slow")
def place_slow(cell):
    until, container = time.monotonic() + SLOW, cell.shop.nas.machine.container
    while time.monotonic() < until and cell.process.poll() is None:
        docker("pause", container)
        time.sleep(0.8)
        docker("unpause", container)
        time.sleep(0.2)
    yield


@fault("the place is full")
def place_full(cell):
    with cell.shop.nas.full(repository.FOLDER):
        cell.finish()
    yield


@fault("the place forgets a segment")
def place_forgets(cell):
    archive = f"{repository.FOLDER}/orders/database/archive"
    cell.shop.nas.console(f"rm -f $(find {archive} -name '0*.zst' | sort | tail -n 1)")
    yield


@fault("no record can be written")
def no_record(cell):
    with cell.host.full("/var/backups/orders"):
        cell.finish()
    yield


@fault("the same begins again")
def twice(cell):
    cell.again()
    yield


@fault("a restore to another moment begins")
def second_restore(cell):
    at = cell.moment()
    cell.aside(f"docker-backup beside orders @{at:.3f} && docker-backup discard orders")
    yield


@fault("a base backup begins")
def second_base(cell):
    cell.aside("docker-backup base orders")
    yield


# What the matrix does not have, and why.
LEFT_OUT = {
    "the disk is full": "`tests/e2e/small_disk.py`, whose database is on a disk of its own",
    "memory is short": "the kernel then kills the container that works, as above",
    "a prune": "it ends each base backup",
    "the clock is an hour off": "hosts in containers share the kernel's clock",
    "a new server, from nothing": "`tests/e2e/test_from_nothing.py` and `test_the_server_is_lost`",
    "two servers of one name": "provisioning refuses them: `tests/deployer/test_provision.py`",
}
