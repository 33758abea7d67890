"""What a deploy can be told: hooks, options, limits, a registry that wants a password; and the commands beside it."""

import base64
import contextlib
import json
import shlex
import signal
import sys
import time

import pytest

from e2e import checker
from e2e.fleet.docker import docker
from e2e.fleet.machine import LABEL
from e2e.fleet.names import of_checkout
from e2e.scenarios import good, live, provisioned, succeed, unreachable
from proc import run, wait_until

TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
BACK = "taken back: the old release serves everywhere"
PASSWORD = "planted-password-4711"
USERS = "ann:$2b$05$abcdefghijklmnopqrstuuLCc34gneiH0Q.iqcXPloTnKgJcdYvQ."  # htpasswd has it so


@pytest.fixture(scope="module")
def shop(fleet, tmp_path_factory):
    return provisioned(fleet, tmp_path_factory.mktemp("a shop"))


@contextlib.contextmanager
def having(shop, **values):
    """Other lines in the file while the block runs: __ stands for the dot in a key, None for no such line."""
    before = dict(shop.settings)
    shop.settings.update({key.replace("__", "."): value for key, value in values.items()})
    shop.settings = {key: value for key, value in shop.settings.items() if value is not None}
    try:
        yield
    finally:
        shop.settings = before


# ---- hooks ----

HOOKS = ("before", "committed", "failed")


@pytest.fixture
def fed(shop, tmp_path):
    """fed(): hook → the record that it was fed, of those that were run since. `committed` then fails."""
    def take():
        paths = [path for path in tmp_path.iterdir() if path.name in HOOKS]
        records = {path.name: json.loads(path.read_text()) for path in paths}
        for path in paths:
            path.unlink()
        return records
    hooks = {f"hooks__{name}": f"cat >{shlex.quote(str(tmp_path / name))}" for name in HOOKS}
    hooks["hooks__committed"] += "; exit 7"
    with having(shop, **hooks):
        yield take


@pytest.mark.extra
def test_hooks_are_fed_the_record(shop, fed):
    """Before and after a deploy the same one, then with its outcome: that of releases.log, where it was committed;
    with the cause, where it failed. That a hook fails afterwards changes nothing."""
    tag = good(shop)
    outcome = shop.roll("deploy", tag, "--no-bake")
    assert outcome.code == 0 and "warning: hook failed; the deploy is unaffected" in outcome.stderr
    records = fed()
    found = records["committed"]
    assert records == {"before": {key: found[key] for key in records["before"]}, "committed": found}
    assert (found["version"], found["app"], found["action"], found["tag"]) == (1, "shop", "deploy", tag)
    assert found["hosts"] == ["web1", "web2", "work1"] and found["seconds"] > 0 and f"deploy {tag} by " in found["who"]
    for host in shop.machines().values():
        logged = checker.records(checker.read(host, "shop")["log"])[-1]
        assert all(logged[key] == found[key] for key in ("id", "digest", "tag"))
    assert shop.roll("deploy", shop.image("bad-hooked", "crash")).code == 1
    records = fed()
    assert set(records) == {"before", "failed"} and records["failed"]["outcome"] == "failed"
    assert "ended as soon as it had started" in records["failed"]["cause"] and live(shop) == tag


# ---- one command on a host ----

@pytest.mark.extra
def test_a_command_on_a_host(shop):
    """It gets its words as they are in the release that is live; its exit code comes back; no terminal is made where
    there is none. A host that there is not: exit 2, and which there are."""
    words = ["manage", "a  b", "it's", "$HOME", "-x"]
    done = shop.deploy("run", "web2", "--", *words)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["command"] == words and said["environment"]["RELEASE"] == live(shop)
    assert "TERM" not in said["environment"]
    assert shop.deploy("run", "work1", "--", "exit", "37").returncode == 37
    typed = run([sys.executable, "-c", TERMINAL, *shop.command("run", "web1", "--", "manage", "x")])
    assert json.loads(typed.stdout)["environment"]["TERM"], "at a terminal it has one, too"
    done = shop.deploy("run", "web9", "--", "exit", "0")
    assert done.returncode == 2 and "no host 'web9'; there are: web1, web2, work1" in done.stderr


# ---- hosts that are not there, or not healthy ----

def test_a_host_that_cannot_be_reached_is_left_out(shop):
    """Only when that is asked for, and said loudly; status shows it; a rollback then asks where to; the next deploy
    brings the host along. Beat's host is never left out."""
    old, new = live(shop), good(shop)
    with unreachable(shop, "web2"):
        done = shop.deploy("deploy", new, "--no-bake", "--skip-unreachable")
        assert done.returncode == 0, done.stderr
        assert "web2: SKIPPED, cannot be reached" in done.stdout, done.stdout
        assert f"{new} is live on web1, work1" in done.stdout
        assert shop.deploy("rollback").returncode == 2, "a rollback is not less careful"
    found = checker.check(shop, divided=True)
    assert {name: checker.release(host["tag"])["TAG"] for name, host in found.items()} == {
        "web1": new, "web2": old, "work1": new}
    shown = shop.deploy("status")
    assert shown.returncode == 1 and f"on web2: {old} is committed there, and not the same everywhere" in shown.stdout
    refused = shop.deploy("rollback")
    assert refused.returncode == 2 and "hosts would not go back to the same release" in refused.stderr
    succeed(shop)
    with unreachable(shop, "work1"):
        outcome = shop.roll("deploy", good(shop), "--skip-unreachable")
    assert outcome.code == 2 and "on work1: cannot be reached" in outcome.stderr and not outcome.steps(), outcome.stderr


def test_a_deployer_that_stands_still(shop):
    """Suspended, with dead_after as it is unless somebody sets it: 30 s after its last word all hosts are back by
    themselves, no request is lost; woken it says so, exit 1."""
    old, new = live(shop), good(shop)
    with having(shop, rollout__dead_after=None, rollout__bake=60), shop.load(rate=30) as load, \
            shop.rolling("deploy", new) as rolling:
        rolling.until("watch", "work1")
        rolling.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        shop.settled(90)
        seconds = time.monotonic() - began
        rolling.process.send_signal(signal.SIGCONT)
        outcome, result = rolling.finish(), load.stop()
    assert 20 < seconds < 60, "the last word came some seconds before"
    assert outcome.code == 1 and BACK in outcome.stderr, outcome.stderr
    assert live(shop) == old and not result.failures and new in result.releases, result.summary()


def test_a_migration_that_somebody_runs_by_hand(shop):
    """Started during a deploy, it keeps the deploy's own from running: taken back, exit 1, and it runs on."""
    old, tag, host = live(shop), shop.image("older", "older"), shop.web[0]
    start = f"docker run -d --name shop-migrate --entrypoint sleep {shop.settings['image']}:{old} 600"
    try:
        with shop.rolling("deploy", tag) as rolling:
            rolling.until("pull")
            by_hand = host.run(start).strip()
            outcome = rolling.finish()
        assert outcome.code == 1 and "shop-migrate is running already" in outcome.stderr, outcome.stderr
        assert host.run("docker ps -q --no-trunc -f name=shop-migrate").strip() == by_hand
    finally:
        host.run("docker rm -f shop-migrate")
    assert live(shop) == old


# ---- what is shown ----

@pytest.mark.extra
def test_a_plan_changes_nothing(shop):
    """It shows the steps in order, and leaves every host as it was."""
    tag, old = good(shop), checker.check(shop)
    done = shop.deploy("plan", tag)
    assert done.returncode == 0, done.stderr
    steps = [line.split()[1] for line in done.stdout.splitlines()]
    assert steps[:2] == ["begin", "pull"] and steps[-3:] == ["prepare", "promise", "commit"]
    assert {"migrate", "ready", "flip", "replace"} < set(steps)
    assert checker.check(shop) == old


# ---- a registry ----

@pytest.fixture
def closed_registry(shop, tmp_path):
    """host:port of a registry with the same images, which wants to be asked by ann with her password."""
    names, name = of_checkout(), of_checkout().container("closed")
    docker("rm", "--force", name, check=False)
    docker("create", "--name", name, f"--label={LABEL}={names.fleet}", f"--network={names.fleet}",
           f"--volumes-from={shop.fleet.registry.machine.container}:ro", "--env=REGISTRY_AUTH=htpasswd",
           "--env=REGISTRY_AUTH_HTPASSWD_REALM=shop", "--env=REGISTRY_AUTH_HTPASSWD_PATH=/etc/users", "registry:2")
    (tmp_path / "users").write_text(USERS + "\n")
    docker("cp", tmp_path / "users", f"{name}:/etc/users")
    docker("start", name)
    form = "{{(index .NetworkSettings.Networks \"%s\").IPAddress}}" % names.fleet
    address = docker("inspect", "--format", form, name).stdout.strip() + ":5000"
    try:
        wait_until(lambda: shop.web[0].ssh(f"curl -sI http://{address}/v2/").stdout.startswith("HTTP/1.1 401"), 30,
                   "the registry asks for a password")
        yield address
    finally:
        docker("rm", "--force", name)


@pytest.mark.extra
def test_a_registry_that_asks_for_a_password(shop, closed_registry, monkeypatch):
    """The variable is not set: exit 2. With it the release comes, and the password is nowhere on a host or screen."""
    with having(shop, image=f"{closed_registry}/shop", registry__login="SHOP_LOGIN"):
        shop.provision()
        try:
            tag, login = good(shop), f"ann:{PASSWORD}"
            outcome = shop.roll("deploy", tag)
            assert outcome.code == 2 and "registry.login: SHOP_LOGIN is not set" in outcome.stderr, outcome.stderr
            monkeypatch.setenv("SHOP_LOGIN", login)
            outcome = shop.roll("deploy", tag, "--no-bake")
            assert outcome.code == 0 and live(shop) == tag, outcome.stderr
            assert "planted" not in outcome.stderr + json.dumps(outcome.events)
            for host in shop.machines().values():
                found = host.run("echo planted-decoy >/tmp/decoy;"
                                 " grep -rlsaF -D skip -f - /run /etc /root /tmp /var/www /var/log; rm /tmp/decoy",
                                 input=f"planted-\n{base64.b64encode(login.encode()).decode()}\n")
                assert found == "/tmp/decoy\n"
        finally:
            monkeypatch.undo()
    shop.provision()
    succeed(shop)
