"""A deploy key is stolen: it is withdrawn while its thief is at work, and any lock can be broken."""

import contextlib
import json
import shlex
import subprocess
import time

import pytest

from e2e import checker
from e2e.scenarios import good, live, settings
from e2e.test_deploy_key import Thief
from proc import passed, run, wait_until
from slipway.deploy.server import gate
from slipway.deploy.ssh import bootstrap

pytestmark = pytest.mark.extra
BEGIN = {
    **{"id": "0123456789ab", "who": "deploy stolen-1 by the boss from home since", "action": "deploy"},
    **{"tag": "stolen-1", "digest": "", "image_id": "", "keep_warm": 600, "drain": 1, "keep_releases": 5},
}


@pytest.fixture(scope="module")
def keys(shop, tmp_path_factory):
    """Two keys, of which one stays."""
    found = [Thief(shop, tmp_path_factory.mktemp(name)) for name in ("stolen", "stays")]
    yield found
    shop.settings.pop("deploy_keys", None)
    shop.provision()


@pytest.fixture
def thief(shop, keys):
    shop.settings["deploy_keys"] = [key.public for key in keys]
    shop.provision()
    assert shop.changes() == 0
    return keys[0]


class Session:
    """An open session of a thief's key on web1."""

    def __init__(self, thief, line=None, *options):
        words = thief.words("ssh", *options, "web1", *([line] if line else []))
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def until(self, text):
        """Read lines until one has the text."""
        while text not in (line := self.process.stdout.readline().decode()):
            assert line, self.process.stderr.read()
        return line

    def send(self, do, **args):
        self.process.stdin.write(json.dumps({"id": 1, "do": do, "args": args}).encode() + b"\n")
        self.process.stdin.flush()

    def lock(self):
        self.until("--8<-- slipway")
        self.send("lock", description="deploy stolen-1 by the boss from home", dead_after=3600)
        self.until("--8<-- slipway")


@contextlib.contextmanager
def sessions(thief, *lines):
    opened = [Session(thief, line) for line in lines]
    try:
        yield opened
    finally:
        for session in opened:
            session.process.kill()
            session.process.wait()


START = shlex.join(bootstrap.command("shop"))
LOGS = shlex.join(["journalctl", *gate.FIXED, "-f", "-n", "all", "-t", "shop-web-a", "-t", "shop-web-b"])


def locked(web1):
    return web1.ssh("systemctl is-active shop-deploy").stdout.strip() == "active"


def test_a_withdrawn_key_s_sessions_end(shop, keys, thief):
    """Also the one that holds the lock of a host, and has begun a deploy, which is taken back; the other key goes on
    to let in. Before, such a session locked, began and pulled after its key was out."""
    web1 = shop.fleet.hosts["web1"]
    with shop.load(), sessions(thief, START, START, LOGS) as (holder, waiting, logs):
        waiting.until("--8<-- slipway")
        logs.until("MESSAGE")
        holder.lock()
        holder.send("begin", image=shop.settings["image"], **BEGIN)
        holder.until('"ok"')
        assert "locked: deploy key SHA256:" in run(shop.command("status"), cwd=shop.checkout).stdout
        idle = Session(thief, None, "-N")
        wait_until(lambda: int(web1.run("pgrep -c -u shop-deploy sshd || :")) >= 4, 60, "all are in")
        before = web1.run("date +%s").strip()
        shop.settings["deploy_keys"] = [keys[1].public]
        shop.provision()
        for session in (holder, waiting, logs, idle):
            assert session.process.wait(60) != 0
        assert web1.ssh("pgrep -u shop-deploy || pgrep -f 'sshd.*: shop-deploy'").stdout == ""
        assert web1.ssh("systemctl list-units --no-legend 'run-*.scope' | grep shop-gate").stdout == ""
        record = json.loads(web1.run("tail -n 1 /var/www/shop/releases.log"))
        assert (record["tag"], record["outcome"]) == ("stolen-1", "taken back") and record["at"] >= float(before) - 1
        assert record["cause"] == "its deploy key was withdrawn" and record["key"].startswith("SHA256:")
        shown = run(shop.command("releases"), cwd=shop.checkout).stdout
        assert f"by deploy key {record['key']}" in shown
        assert thief.ssh("HOST", START).returncode == 255, "the key lets in no more"
        assert keys[1].ssh("HOST", LOGS.replace("-f ", "")).returncode == 0
    checker.check(shop)


def test_an_administrator_s_deploy_goes_on(shop, keys, thief):
    """The key is out, although provisioning itself then finds the lock taken."""
    tag = good(shop)
    with settings(shop, bake=60), shop.load(), shop.rolling("deploy", tag) as rolling, sessions(thief, START) as opened:
        (session,) = opened
        rolling.until("watch")
        session.until("--8<-- slipway")
        shop.settings["deploy_keys"] = [keys[1].public]
        refused = run(shop.command("provision"), cwd=shop.checkout)
        assert refused.returncode == 4 and "locked: deploy" in refused.stderr, refused
        assert "web1: withdrew the deploy key SHA256:" in refused.stdout
        assert session.process.wait(60) != 0 and thief.ssh("HOST", START).returncode == 255
        rolling.finish()
        assert rolling.code == 0
    assert live(shop) == tag


def test_any_lock_can_be_broken(shop, thief):
    """The journal and releases.log say who broke whose."""
    web1 = shop.fleet.hosts["web1"]
    with shop.load(), sessions(thief, START) as (session,):
        session.lock()
        session.send("begin", image=shop.settings["image"], **BEGIN)
        session.until('"ok"')
        assert run(shop.command("provision"), cwd=shop.checkout).returncode == 4
        asked = run(shop.command("unlock", "web1"), cwd=shop.checkout, stdin=subprocess.DEVNULL)
        assert asked.returncode == 2 and "add --yes" in asked.stderr and locked(web1), asked
        done = passed(run(shop.command("unlock", "web1", "--yes"), cwd=shop.checkout))
        assert "web1: locked: deploy key SHA256:" in done.stdout and "web1: the lock is broken" in done.stdout
        assert not locked(web1)
        record = json.loads(web1.run("tail -n 1 /var/www/shop/releases.log"))
        assert record["tag"] == "stolen-1" and record["cause"].startswith("the lock was broken by "), record
        said = web1.run("journalctl -t shop-unlock -n 1 -o cat")
        assert said.startswith("unlock by ") and "broke the lock: deploy key SHA256:" in said
    assert "nobody holds the lock" in passed(run(shop.command("unlock", "web1"), cwd=shop.checkout)).stdout
    checker.check(shop)


def test_what_a_thief_asks_at_once_is_bounded(shop, thief):
    """Sessions have places, and all of them together a slice; an administrator's search of the journal answers."""
    web1 = shop.fleet.hosts["web1"]
    shown = web1.run("systemctl show -p MemoryMax -p TasksMax -p CPUWeight shop_deploy.slice").split()
    assert {*shown} == {"MemoryMax=536870912", "TasksMax=300", "CPUWeight=20"}
    with sessions(thief, *[LOGS] * 30) as opened:
        wait_until(lambda: sum(each.process.poll() == 77 for each in opened) == 10, 120, "ten are refused")
        scopes = web1.run("systemctl list-units --no-legend --type=scope").split("\n")
        in_slice = web1.run("systemctl status --no-pager shop_deploy.slice").count("journalctl")
        assert in_slice >= 20, scopes
        began = time.monotonic()
        passed(run(shop.command("errors"), cwd=shop.checkout, timeout=60))
        assert time.monotonic() - began < 60
    said = web1.run("journalctl -t shop-gate -n 10 -o cat")
    assert "20 sessions of shop's deploy keys are open" in said and "it asked: " in said
    wait_until(lambda: thief.ssh("HOST", LOGS.replace("-f ", "")).returncode == 0, 60, "places are free again")
