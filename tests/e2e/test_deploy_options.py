"""What a deploy can be told: hooks, options, limits, a registry that wants a password; and the commands beside it."""

import base64
import contextlib
import json
import os
import pty
import shlex
import signal
import subprocess
import time

import pytest

from e2e import checker
from e2e.fleet.docker import docker
from e2e.fleet.machine import LABEL
from e2e.fleet.names import of_checkout
from e2e.scenarios import good, live, provisioned, succeed, unreachable
from proc import ROOT, end, wait_until

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
def hooked(shop, tmp_path):
    """A function that has the hooks keep what they are fed, and then do what it is told, while a block runs."""
    def hook(**then):
        return having(shop, **{f"hooks__{name}": f"cat >{shlex.quote(str(tmp_path / name))}; {then.get(name, '')}"
                               for name in HOOKS})
    return hook


def fed(folder):
    """Hook → the record that it was fed, of those that were run."""
    return {path.name: json.loads(path.read_text()) for path in folder.iterdir() if path.name in HOOKS}


def test_before_can_stop_a_deploy(shop, hooked, tmp_path):
    """It fails: exit 2, told by name, nothing is changed anywhere, and no other hook is run."""
    old = checker.check(shop)
    with hooked(before="exit 7"):
        outcome = shop.roll("deploy", good(shop))
    assert outcome.code == 2 and "hooks.before forbids it: cat " in outcome.stderr and "exit 7" in outcome.stderr
    assert list(fed(tmp_path)) == ["before"] and not outcome.steps()
    assert checker.check(shop) == old


def test_hooks_are_fed_the_record(shop, hooked, tmp_path):
    """Before and after a deploy that is committed the same one, then with its outcome; that `committed` fails changes
    nothing. It is the one of releases.log."""
    tag = good(shop)
    with hooked(committed="exit 7"):
        outcome = shop.roll("deploy", tag, "--no-bake")
    assert outcome.code == 0 and "warning: hook failed; the deploy is unaffected" in outcome.stderr
    records = fed(tmp_path)
    assert set(records) == {"before", "committed"} and live(shop) == tag
    found = records["committed"]
    assert {key: found[key] for key in records["before"]} == records["before"] and found["outcome"] == "committed"
    assert (found["version"], found["app"], found["action"], found["tag"]) == (1, "shop", "deploy", tag)
    assert found["hosts"] == ["web1", "web2", "work1"] and found["seconds"] > 0 and f"deploy {tag} by " in found["who"]
    for host in shop.machines().values():
        logged = checker.records(checker.read(host, "shop")["log"])[-1]
        assert {key: logged[key] for key in ("id", "digest", "tag")} == {key: found[key] for key in
                                                                         ("id", "digest", "tag")}


def test_a_hook_hears_of_a_failure(shop, hooked, tmp_path):
    """`failed` gets the record with outcome, seconds and cause; `committed` is not run."""
    with hooked():
        outcome = shop.roll("deploy", shop.image("bad-hooked", "crash"))
    assert outcome.code == 1, outcome.stderr
    records = fed(tmp_path)
    assert set(records) == {"before", "failed"}
    found = records["failed"]
    assert {key: found[key] for key in records["before"]} == records["before"] and found["outcome"] == "failed"
    assert "ended as soon as it had started" in found["cause"] and found["seconds"] > 0
    live(shop)


# ---- one command on a host ----

def at_terminal(command, seconds=60):
    """(exit code, what is shown) of a command typed at a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([str(word) for word in command], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs,
                          start_new_session=True) as process:
        os.close(theirs)
        shown = b""
        try:
            with contextlib.suppress(OSError):  # Linux: nobody has the other end any more
                while more := os.read(ours, 65536):
                    shown += more
            return process.wait(seconds), shown.decode()
        finally:
            end(process)
            os.close(ours)


def test_a_command_on_a_host(shop):
    """It gets its words as they are, and stdin, in the release that is live; its exit code comes back; no terminal is
    made where there is none. A host that there is not: exit 2, and which there are."""
    words = ["manage", "a  b", "it's", "$HOME", "-x"]
    done = shop.deploy("run", "web2", "--", *words)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["command"] == words and said["environment"]["RELEASE"] == live(shop)
    assert "TERM" not in said["environment"]
    assert shop.deploy("run", "work1", "--", "exit", "37").returncode == 37
    done = shop.deploy("run", "web9", "--", "exit", "0")
    assert done.returncode == 2 and "no host 'web9'; there are: web1, web2, work1" in done.stderr


def test_a_command_at_a_terminal(shop):
    """Typed at a terminal it has one, too, inside the container; its exit code comes back."""
    code, shown = at_terminal(shop.command("run", "web1", "--", "manage", "x"))
    assert code == 0 and json.loads(shown)["environment"]["TERM"], shown
    assert at_terminal(shop.command("run", "web1", "--", "exit", "37"))[0] == 37


# ---- hosts that are not there, or not healthy ----

def test_a_host_that_cannot_be_reached_is_left_out(shop):
    """Only when that is asked for, and said loudly; status shows it; a rollback then asks where to; the next deploy
    brings the host along."""
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


def test_beats_host_is_never_left_out(shop):
    """Nobody can know then whether beat runs there: exit 2, nothing is changed."""
    old = live(shop)
    with unreachable(shop, "work1"):
        outcome = shop.roll("deploy", good(shop), "--skip-unreachable")
    assert outcome.code == 2 and "on work1: cannot be reached" in outcome.stderr, outcome.stderr
    assert not outcome.steps() and live(shop) == old


@contextlib.contextmanager
def no_nginx(hosts):
    for host in hosts:
        host.console("systemctl stop nginx")
    try:
        yield
    finally:
        for host in hosts:
            host.console("systemctl start nginx")


@pytest.mark.parametrize("sick, code", [(1, 0), (2, 1)])
def test_a_share_of_healthy_hosts_will_do(shop, sick, code):
    """min_healthy = 0.6, and one of three falls ill while all are watched: committed, and the host is named. Two: taken
    back."""
    old, new = live(shop), good(shop)
    with having(shop, rollout__min_healthy=0.6, rollout__bake=6), shop.rolling("deploy", new) as rolling:
        rolling.until("watch", "web2")
        with no_nginx(shop.web[2 - sick:]):
            outcome = rolling.finish()
    assert outcome.code == code, outcome.stderr
    told = [event["host"] for event in outcome.events if event["event"] == "unhealthy"]
    assert told == ([] if code else ["web2"])
    assert live(shop) == (old if code else new)


def test_a_deployer_that_stands_still(shop, measured):
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
    measured("a suspended deployer's hosts are back", seconds)
    assert 20 < seconds < 60, "the last word came some seconds before"
    assert outcome.code == 1 and BACK in outcome.stderr, outcome.stderr
    assert live(shop) == old and not result.failures and new in result.releases, result.summary()


def test_a_migration_that_somebody_runs_by_hand(shop):
    """Started during a deploy, it keeps the deploy's own from running: taken back, exit 1, and it runs on. A deploy
    that finds it says so beforehand, and since when: exit 2."""
    old, tag, host = live(shop), shop.image("older", "older"), shop.web[0]
    start = f"docker run -d --name shop-migrate --entrypoint sleep {shop.settings['image']}:{old} 600"
    try:
        with shop.rolling("deploy", tag) as rolling:
            rolling.until("pull")
            by_hand = host.run(start).strip()
            outcome = rolling.finish()
        assert outcome.code == 1 and "shop-migrate is running already" in outcome.stderr, outcome.stderr
        outcome = shop.roll("deploy", tag)
        assert outcome.code == 2 and "on web1: shop-migrate runs since 2" in outcome.stderr, outcome.stderr
        assert not outcome.steps() and host.run("docker ps -q --no-trunc -f name=shop-migrate").strip() == by_hand
    finally:
        host.run("docker rm -f shop-migrate")
    assert live(shop) == old
    for machine in shop.machines().values():
        assert checker.records(checker.read(machine, "shop")["log"])[-1]["outcome"] == "taken back"


# ---- what is shown ----

def test_a_dry_run_changes_nothing(shop):
    """It shows the steps as `plan` does, in order, and leaves every host as it was."""
    tag, old = good(shop), checker.check(shop)
    done = shop.deploy("deploy", tag, "--dry-run")
    assert done.returncode == 0 and done.stdout == shop.deploy("plan", tag).stdout, done.stderr
    steps = [line.split()[1] for line in done.stdout.splitlines()]
    assert steps[:2] == ["begin", "pull"] and steps[-3:] == ["prepare", "promise", "commit"]
    assert {"migrate", "ready", "flip", "replace"} < set(steps)
    assert checker.check(shop) == old


# ---- images ----

def warm(host):
    """What the old slot of a host holds."""
    found = checker.read(host, "shop")
    return found["slots"]["b" if found["web_sock"].startswith("a") else "a"]


def test_prune_keeps_what_is_needed(shop):
    """Every image of the app goes that neither TAG nor REVERT nor a slot names, and no other: once the old slots have
    retired two are left, and a rollback works."""
    gone, tags = live(shop), [succeed(shop), good(shop)]
    with having(shop, rollout__keep_warm=4):
        assert shop.roll("deploy", tags[1], "--no-bake").code == 0
    wait_until(lambda: not any(warm(host) for host in shop.machines().values()), 60, "old slots are empty")
    done = shop.deploy("prune")
    assert done.returncode == 0, done.stderr
    found = checker.check(shop)
    for name, host in shop.machines().items():
        assert f"{name}: removed " in done.stdout and f"shop:{gone}" in done.stdout
        needed = {checker.release(found[name][kind])["IMAGE_ID"] for kind in ("tag", "revert")}
        assert set(host.run(f"docker image ls -q --no-trunc {shop.settings['image']}").split()) == needed
    outcome = shop.roll("rollback")
    assert outcome.code == 0 and live(shop) == tags[0], outcome.stderr


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


def test_a_registry_that_asks_for_a_password(shop, closed_registry, monkeypatch):
    """The variable is not set, or holds the wrong one: exit 2. With the right one the release comes, and the password
    is nowhere on a host, nor on screen."""
    with having(shop, image=f"{closed_registry}/shop", registry__login="SHOP_LOGIN"):
        shop.provision()
        try:
            old, tag, login = live(shop), good(shop), f"ann:{PASSWORD}"
            outcome = shop.roll("deploy", tag)
            assert outcome.code == 2 and "registry.login: SHOP_LOGIN is not set" in outcome.stderr, outcome.stderr
            monkeypatch.setenv("SHOP_LOGIN", "ann:planted-nonsense")
            outcome = shop.roll("deploy", tag)
            assert outcome.code == 2 and "lets nobody in as ann" in outcome.stderr, outcome.stderr
            assert "planted" not in outcome.stderr and not outcome.steps() and live(shop) == old
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
