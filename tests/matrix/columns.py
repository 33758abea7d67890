"""The columns of the fault matrix: what happens in the middle of a deploy or rollback, and where it can matter."""

import contextlib
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from e2e.scenarios import crammed, cut_off, severed, unreachable
from matrix import unsynced
from proc import wait_until
from slipway.fleet.docker import docker

UNTIL_THE_PROMISE = (
    "lock",
    "begin",
    "pull",
    "publish",
    "start",
    "ready",
    "flip",
    "watch",
    "replace",
    "prepare",
    "promise",
)
EVERY = (*UNTIL_THE_PROMISE, "commit")
AT_WEB = ("start", "ready", "flip", "watch", "prepare", "commit")


@dataclass(frozen=True)
class Fault:
    """`happens`: a context manager of a Cell; its end mends what does not mend itself. `steps`: where it can matter,
    and `why` only there. `loses`: what visitors may lose by it, which no deployer can prevent; "": nothing. `around`: a
    context manager of a Cell for the whole deploy. `leaves`: True if stopped containers may stay until the next deploy,
    as nothing can remove them meanwhile."""

    name: str
    happens: Callable
    steps: tuple
    why: str
    loses: str = ""
    around: Callable = contextlib.nullcontext
    leaves: bool = False


POSTS = "POSTs that the host was answering"
FAULTS: dict[str, Fault] = {}


def fault(name, steps=EVERY, why="each step has its own way back", loses="", leaves=False, **options):
    def add(function):
        happens, may_leave = contextlib.contextmanager(function), leaves or loses == POSTS
        FAULTS[name] = Fault(name, happens, steps, why, loses, leaves=may_leave, **options)
        return function

    return add


# ---- the deployer ----


@fault("the deployer is killed")
def deployer_killed(cell):
    cell.rolling.process.kill()
    yield


@fault("the deployer gets Ctrl-C")
def deployer_interrupted(cell):
    cell.rolling.process.send_signal(signal.SIGINT)
    yield


@fault(
    "the deployer stands still for 20 s", ("ready", "flip", "prepare", "commit"), "hosts wait 6 s for it, at any step"
)
def deployer_stopped(cell):
    cell.rolling.process.send_signal(signal.SIGSTOP)
    time.sleep(20)
    cell.rolling.process.send_signal(signal.SIGCONT)
    yield


@fault("ssh to a host is cut for 3 s", AT_WEB, "it is shorter than the 6 s that a host waits")
def cut_short(cell):
    with cut_off(cell.host):
        time.sleep(3)
    yield


@fault(
    "ssh to a host is cut until the host gives up", ("pull", "ready", "flip", "watch", "prepare", "promise", "commit")
)
def cut(cell):
    with severed(cell.shop.web.index(cell.host))(cell.shop):
        cell.finish()
        yield


@fault("sshd of a host ends", ("begin", "ready", "flip", "commit"), "connections that are open go on")
def no_new_connection(cell):
    with unreachable(cell.shop, cell.host.name):
        cell.finish()
        yield


# ---- a host ----


@fault("the agent of a host is killed", EVERY[1:], "before `begin` it has done nothing")
def agent_killed(cell):
    cell.host.console("systemctl kill -s KILL shop-deploy", check=False)
    yield


@fault("a host loses power", EVERY[1:], "before `begin` it has done nothing", POSTS)
def power_cut(cell):
    cell.host.power_cut()
    cell.finish()
    cell.host.power_on()
    yield


@contextlib.contextmanager
def on_a_disk(cell):
    cell.host = cell.shop.web[-1]
    with unsynced.disk(cell.host) as cell.cut_power:
        yield


@fault(
    "a host loses power and all that was not synced",
    ("prepare", "promise", "commit"),
    "what these write must be on the disk",
    POSTS,
    around=on_a_disk,
)
def power_cut_unsynced(cell):
    cell.cut_power()
    cell.finish()
    cell.host.power_on()
    yield


@fault(
    "a host is rebooted in order", ("pull", "ready", "flip", "watch", "commit"), "as a power cut, but in order", POSTS
)
def rebooted(cell):
    running = ("inspect", "--format={{.State.Running}}", cell.host.machine.container)
    cell.host.console("systemctl reboot", check=False)
    wait_until(lambda: "false" in docker(*running).stdout, 180, f"{cell.host.name} is off")
    cell.finish()
    cell.host.power_on()
    yield


@fault("dockerd is killed", ("pull", "start", "ready", "flip", "watch", "commit"), "only these talk to it")
def dockerd_killed(cell):
    cell.host.console("pkill -9 -x dockerd")
    yield


@fault("dockerd is restarted", ("pull", "start", "ready", "flip", "watch", "commit"), "only these talk to it")
def dockerd_restarted(cell):
    cell.host.console("systemctl restart --no-block docker")
    yield


@fault(
    "dockerd is away until the deploy has ended",
    ("pull", "start", "ready", "flip", "commit"),
    "only these talk to it",
    leaves=True,
)
def dockerd_away(cell):
    cell.host.console("systemctl stop docker.socket docker")
    cell.finish()
    cell.host.console("systemctl start docker")
    yield


@fault(
    "nginx is restarted", ("ready", "flip", "watch", "commit"), "only these ask it", "requests that nginx was answering"
)
def nginx_restarted(cell):
    cell.host.console("systemctl restart --no-block nginx")
    yield


@fault("another app breaks nginx's configuration", ("ready", "flip", "watch"), "no step may need a reload of nginx")
def nginx_broken(cell):
    path = "/etc/nginx/conf.d/other.conf"
    cell.host.console(f"echo 'no_such_directive on;' >{path}")
    cell.finish()
    cell.host.console(f"rm {path}")
    yield


@fault("nginx's log is emptied", ("flip", "watch"), "these two read it")
def log_truncated(cell):
    cell.host.console("truncate -s 0 /var/log/nginx/shop.access.log")
    yield


@fault("nginx's log is full", ("flip", "watch"), "these two read it")
def log_full(cell):
    with cell.host.full("/var/log/nginx"):
        cell.host.console("nginx -s reopen")
        cell.finish()
    cell.host.console("nginx -s reopen")
    yield


@fault("systemctl daemon-reload", ("start", "ready", "flip", "watch", "commit"), "only these start or stop units")
def daemon_reload(cell):
    cell.host.console("systemctl daemon-reload")
    yield


# ---- room ----


@fault("/var/www/shop is full", ("begin", "publish", "ready", "prepare", "promise", "commit"), "only these write there")
def disk_full(cell):
    with cell.host.full("/var/www/shop"):
        cell.finish()
        yield


@fault("no file can be made in /run", ("begin", "start", "flip", "replace", "commit"), "only these write there")
def run_full(cell):
    with crammed(cell.shop):
        cell.finish()
        yield


@fault("no byte is free in /run", ("begin", "start", "flip", "replace", "commit"), "only these write there")
def run_without_room(cell):
    cell.host.console("mount -o remount,size=$(($(df --output=used -k /run | tail -n 1) + 64))k /run")
    cell.host.console("cat /dev/zero >/run/filler", check=False)
    try:
        cell.finish()
    finally:
        cell.host.console("rm /run/filler; mount -o remount,size=50% /run")
    yield


# ---- around ----


@fault("the registry is away", ("lock", "begin", "pull"), "later steps do not ask it")
def registry_away(cell):
    container = cell.shop.fleet.registry.machine.container
    docker("pause", container)
    try:
        cell.finish()
    finally:
        docker("unpause", container)
    yield


@fault("the registry stands still for 5 s", ("lock", "begin", "pull"), "later steps do not ask it")
def registry_slow(cell):
    container = cell.shop.fleet.registry.machine.container
    docker("pause", container)
    time.sleep(5)
    docker("unpause", container)
    yield


@fault("a second deploy begins", ("lock", "pull", "flip", "commit"), "the lock is held from first to last")
def second_deploy(cell):
    cell.aside("deploy", cell.new, "--no-bake", codes=(0, 4))
    yield


@fault("somebody rolls back", ("watch",), "another step may have ended before the rollback asks for the lock")
def second_rollback(cell):
    cell.aside("rollback", codes=(4,))
    yield


@fault("somebody provisions", ("pull", "ready", "flip", "commit"), "the lock is held from first to last")
def provision(cell):
    cell.aside("provision", codes=(0, 1, 2, 4))
    yield


@fault("a command of the team runs", ("pull", "flip", "commit"), "commands take no lock")
def command(cell):
    cell.aside("run", "manage", "check", codes=None)
    yield


@fault(
    "maintenance is switched on and off", ("flip",), "both change what nginx serves", "answers 503 of the maintenance"
)
def maintenance(cell):
    cell.aside("maintenance", "on", codes=(0, 1, 4))
    cell.aside("maintenance", "off", codes=(0, 1, 4))
    yield


# What the matrix does not have, and why.
LEFT_OUT = {
    "the clock is set back or forth": "hosts in containers share the kernel's clock",
    "Postgres is restarted": "the app of the matrix has no database; `tests/e2e/test_services.py` restarts it",
    "an operator migrates": "for the same reason",
    "a command by the clock runs": "`tests/e2e/test_processes.py`",
    "another app is deployed": "`tests/e2e/test_provision.py`",
    "the agent of the release before": "the deployer brings its own; `tests/e2e/test_upgrade.py`",
}
