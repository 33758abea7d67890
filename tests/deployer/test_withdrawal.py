"""A key that is taken out of production.toml: it lets nobody in from then on, and what it does on a host ends."""

import argparse
import asyncio
import os
import signal
import subprocess

import pytest

from deployer.conftest import TOML, fleet_of
from slipway.deploy.commands import provision as command
from slipway.deploy.errors import HostProblem, Refused
from slipway.deploy.provisioning import withdrawal as by_deployer
from slipway.deploy.server import keys, withdrawal
from slipway.deploy.ssh.child import Done

CI, ANN, BOT = (f"ssh-ed25519 {letter * 68} {name}" for letter, name in (("A", "ci"), ("B", "ann"), ("C", "bot")))
OLD = f'restrict,command="sudo -n /usr/local/sbin/shop-gate" {CI}\n'  # as Slipway before wrote them
OLD_WATCH = f'restrict,command="sudo -n /usr/local/sbin/shop-gate watch" {BOT}\n'


def fleet_with(**lists):
    return fleet_of({**TOML}, {"image": "registry.example/shop", **lists})


def stay(fleet):
    return [f"{kind} {key.split()[1]}" for kind, key in keys.kinds(fleet)]


# ---- the program on the host ----


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A host's authorized_keys in `file`. `ended`: what was ended, in its order, each with the file's content then."""
    found = argparse.Namespace(file=tmp_path / "authorized_keys", ended=[])
    opened = open

    def elsewhere(path, *words, **options):
        return opened(str(path).replace(keys.paths("shop")[0], str(found.file)), *words, **options)

    def note(what):
        return lambda app: found.ended.append((what, app, found.file.read_text()))

    monkeypatch.setattr(withdrawal, "open", elsewhere, raising=False)
    monkeypatch.setattr(withdrawal.os, "rename", lambda old, new: os.replace(f"{found.file}.new", found.file))
    monkeypatch.setattr(withdrawal, "end_sessions", note("sessions"))
    monkeypatch.setattr(withdrawal, "await_takeback", note("takeback"))
    monkeypatch.setattr(withdrawal.signal, "signal", lambda *words: None)
    return found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"deploy_keys": [CI, ANN]}, {"deploy_keys": [ANN]}),
        ({"deploy_keys": [CI], "watch_keys": [ANN]}, {"watch_keys": [ANN]}),
        ({"deploy_keys": [CI], "watch_keys": [ANN]}, {"deploy_keys": [CI]}),
        ({"deploy_keys": [CI]}, {}),
        ({"deploy_keys": [CI, ANN]}, {"deploy_keys": [ANN], "watch_keys": [CI]}),
    ],
)
def test_a_key_that_is_out_lets_nobody_in_before_its_sessions_end(host, capsys, before, after):
    """Also a key that may only look from now on. New keys come last in provisioning, not here."""
    host.file.write_text(keys.authorized_keys(fleet_with(**before)).content)
    withdrawal.main("shop", stay(fleet_with(**after)))
    left = keys.authorized_keys(
        fleet_with(**{kind: [k for k in after.get(kind, []) if k in before.get(kind, [])] for kind in after})
    )
    assert host.file.read_text() == left.content and host.file.stat().st_mode & 0o777 == 0o644
    assert host.ended == [(what, "shop", left.content) for what in ("sessions", "takeback")]
    was, now = ({*keys.kinds(fleet_with(**lists))} for lists in (before, after))
    assert {*capsys.readouterr().out.splitlines()} == {key for _, key in was - now}


@pytest.mark.parametrize(
    "after", [{"deploy_keys": [CI], "watch_keys": [BOT]}, {"deploy_keys": [ANN, CI], "watch_keys": [BOT]}]
)
def test_nothing_ends_while_all_keys_stay(host, capsys, after):
    """Neither by new keys, another comment, nor an update: older lines name no fingerprint."""
    for text in (
        OLD + OLD_WATCH,
        keys.authorized_keys(fleet_with(deploy_keys=[CI.replace("ci", "it")], watch_keys=[BOT])).content,
    ):
        host.file.write_text(text)
        withdrawal.main("shop", stay(fleet_with(**after)))
        assert host.file.read_text() == text and not host.ended and capsys.readouterr().out == ""


def test_a_full_disk_keeps_no_key_in(host, monkeypatch):
    """A thief can fill it by pulls."""

    def fail(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(withdrawal, "replace", fail)
    host.file.write_text(keys.authorized_keys(fleet_with(deploy_keys=[CI, ANN])).content)
    withdrawal.main("shop", stay(fleet_with(deploy_keys=[ANN])))
    assert host.file.read_text() == keys.authorized_keys(fleet_with(deploy_keys=[ANN])).content and len(host.ended) == 2


@pytest.mark.parametrize("line", [ANN, f"restrict {ANN}", f'command="sh" {CI}', "# a note", f"x{OLD}"])
def test_lines_that_are_not_provisioning_s_go(host, line):
    host.file.write_text(f"{OLD}{line}\n")
    withdrawal.main("shop", stay(fleet_with(deploy_keys=[CI])))
    assert host.file.read_text() == OLD and len(host.ended) == 2


@pytest.fixture
def proc(monkeypatch, tmp_path):
    """Return a function that adds a process to a /proc of the test's own."""

    def add(pid, *words, uids="0 0 0 0", cgroup="/system.slice/ssh.service", namespace="pid:[1]"):
        folder = tmp_path / str(pid)
        (folder / "ns").mkdir(parents=True)
        (folder / "cmdline").write_bytes(b"\0".join(word.encode() for word in words) + b"\0")
        (folder / "status").write_text("Name:\tx\nUid:\t" + uids.replace(" ", "\t") + "\nGid:\t0\n")
        (folder / "cgroup").write_text(f"12:pids:{cgroup}\n1:name=systemd:{cgroup}\n0::{cgroup}\n")
        (folder / "ns/pid").symlink_to(namespace)

    monkeypatch.setattr(withdrawal, "PROC", str(tmp_path))
    monkeypatch.setattr(withdrawal, "account_id", lambda user: {"shop-deploy": "998"}[user])
    add("self", "python3")
    (tmp_path / "uptime").touch()
    return add


GATE = "/usr/local/sbin/shop-gate"


def test_all_processes_of_sessions_are_found_and_no_others(proc):
    sessions = [
        ("sshd: shop-deploy [priv]",),
        ("sshd-session: shop-deploy [preauth]",),
        ("sshd-auth: shop-deploy [preauth]",),
        ("sshd: shop-deploy@notty",),
        ("sshd: shop-deploy",),
        ("sudo", "-n", GATE, "deploy", "x"),
        ("/usr/bin/python3", "-IS", GATE),
        ("/usr/bin/systemd-run", "--scope", "/usr/bin/python3", "-IS", GATE, "watch", "", "inside"),
    ]
    for number, words in enumerate(sessions, 1):
        proc(number, *words)
    scope = "/shop_deploy.slice/run-r7.scope"
    proc(11, "journalctl", "-f", cgroup=scope)
    proc(12, "sh", "-c", "sudo -n …", uids="998 998 998 998")
    proc(13, "su", uids="998 0 0 0")
    others = [
        ("sshd: shop-deployer [priv]",),
        ("sshd: root@notty",),
        ("sshd: /usr/sbin/sshd -D",),
        ("vim", GATE),
        ("/usr/bin/python3", "-I", "-S", "/run/shop/agent.1", "work", "shop"),
        ("sudo", "-n", "/usr/local/sbin/blog-gate"),
        ("",),
    ]
    for number, words in enumerate(others, 21):
        proc(number, *words)
    proc(31, "agent", cgroup="/my_shop_deploy.slice/run-r7.scope")
    proc(32, "redis-server", uids="998 998 998 998", namespace="pid:[2]")
    proc(33, "sleep", uids="9980 9980 9980 9980")
    assert {*withdrawal.processes("shop")} == {*range(1, 9), 11, 12, 13}


def test_a_process_that_has_ended_meanwhile_is_none(proc, monkeypatch, tmp_path):
    proc(5, "sshd: shop-deploy@notty")
    (tmp_path / "5/ns/pid").unlink()
    assert not [*withdrawal.processes("shop")]


class Unit:
    """A stand-in for systemd's APP-deploy. `states`: of later looks, (words of its process, its state)."""

    def __init__(self, monkeypatch, proc, *states):
        self.states, self.stopped, self.killed, self.looks = [*states], 0, [], 0
        self.sessions = []
        monkeypatch.setattr(withdrawal, "shown", self.shown)
        monkeypatch.setattr(withdrawal, "end_unit", self.end)
        monkeypatch.setattr(withdrawal, "processes", lambda app: self.sessions.pop(0) if self.sessions else [])
        monkeypatch.setattr(withdrawal.os, "kill", lambda *words: self.killed.append(words))
        monkeypatch.setattr(withdrawal.time, "sleep", lambda seconds: self.pass_time())
        for number, (words, _) in enumerate(states):
            proc(100 + number, *words)

    def shown(self, app, name):
        words, state = self.states[min(self.looks, len(self.states) - 1)]
        number = 100 + min(self.looks, len(self.states) - 1)
        return {"MainPID": str(number) if words else "0", "ActiveState": state}[name]

    def end(self, app):
        assert not self.killed, "a unit whose session has gone ends by itself, and does not know why"
        self.stopped += 1

    def pass_time(self):
        self.looks += 1


AGENT = ("/usr/bin/python3", "-I", "-S", "/run/shop/agent.1")
ADMIN, OF_KEY = (*AGENT, "work", "shop"), (*AGENT, "work", "shop", "deploy", "x")
DOWN = ((), "inactive")


@pytest.mark.parametrize(
    ("states", "stops"),
    [
        ([DOWN], 0),
        ([(ADMIN, "active")], 0),
        ([((*AGENT, "retire", "shop", "image", "5", "a"), "active")], 0),
        ([(OF_KEY, "active"), DOWN], 1),
        ([((*AGENT, "work", "shop", "watch"), "active"), DOWN], 1),
        ([*[((), "activating")] * 4, (OF_KEY, "active"), ((), "deactivating")], 1),
        ([(("(python3)",), "activating"), (ADMIN, "active")], 0),
        ([DOWN, DOWN, (OF_KEY, "active"), DOWN], 1),
    ],
)
def test_a_deploy_of_a_key_ends_and_one_of_an_administrator_goes_on(monkeypatch, proc, states, stops):
    """Also one that is just starting, or starts a moment later."""
    unit = Unit(monkeypatch, proc, *states)
    withdrawal.end_sessions("shop")
    assert unit.stopped == stops


def test_sessions_are_killed_until_none_is_left(monkeypatch, proc):
    unit = Unit(monkeypatch, proc, DOWN)
    unit.sessions = [[7, 8], [], [9], []]
    withdrawal.end_sessions("shop")
    assert unit.killed == [(pid, signal.SIGKILL) for pid in (7, 8, 9)] and unit.looks == 6


def test_a_unit_ends_before_its_session(monkeypatch, proc):
    unit = Unit(monkeypatch, proc, (OF_KEY, "active"), DOWN)
    unit.sessions = [[7]]
    withdrawal.end_sessions("shop")
    assert unit.stopped == 1 and unit.killed == [(7, signal.SIGKILL)]


def test_what_does_not_end_is_told(monkeypatch, proc):
    unit = Unit(monkeypatch, proc, (OF_KEY, "active"))
    monkeypatch.setattr(withdrawal, "ENDING", -1)
    with pytest.raises(SystemExit, match="what shop-deploy has started does not end"):
        withdrawal.end_sessions("shop")
    assert unit.stopped == 1


def test_a_takeback_is_awaited(monkeypatch, proc):
    unit = Unit(monkeypatch, proc, ((), "deactivating"), ((), "deactivating"), DOWN)
    withdrawal.await_takeback("shop")
    assert unit.looks == 2


# ---- the deployer ----


def test_all_hosts_are_asked_though_one_fails(monkeypatch, capsys):
    """Without the lock; what stays is told by kind and key alone."""
    asked = {}

    async def run(host, ssh, words, timeout, check):
        asked[host.name] = words
        if host.name == "web2":
            raise HostProblem("cannot be reached")
        return Done(0, f"{CI}\n".encode() if host.name == "web1" else b"", b"")

    monkeypatch.setattr(by_deployer.connection, "run", run)
    fleet = fleet_with(deploy_keys=[ANN], watch_keys=[BOT])
    with pytest.raises(Refused, match="on web2: cannot be reached\nThere the withdrawn keys still let in"):
        asyncio.run(by_deployer.withdraw(fleet, fleet.hosts))
    assert {*asked} == {host.name for host in fleet.hosts}
    assert asked["web1"][4] == keys.paths("shop")[0] and asked["web1"][6:] == ["shop", *stay(fleet)]
    assert capsys.readouterr().out == (
        f"web1: withdrew the deploy key SHA256:{keys.fingerprint(CI)} ci, and ended the sessions of such keys\n"
    )
    with pytest.raises(Refused):
        asyncio.run(by_deployer.withdraw(fleet, fleet.hosts, remove=True))
    assert asked["web1"][6:] == ["shop"]


def test_the_shell_finds_the_file_and_passes_the_program_on(tmp_path):
    """Without the file nothing is run: a bare host may lack python3."""
    words = ["sh", "-c", by_deployer.SCRIPT, "sh"]
    show = "import sys; print(sys.argv[1:])"
    file = tmp_path / "authorized_keys"
    for content, printed in ((None, b""), ("", b""), ("x", b"['shop', 'deploy AAAA', 'watch BBBB']\n")):
        if content is not None:
            file.write_text(content)
        done = subprocess.run(
            [*words, file, show, "shop", "deploy AAAA", "watch BBBB"], capture_output=True, check=True
        )
        assert done.stdout == printed


@pytest.mark.parametrize("line", ["nonsense", "ssh-ed25519 A", "ssh-ed25519 \x1b[2J"])
def test_a_line_that_is_no_key_has_a_name(line):
    assert by_deployer.title(line) == line


def test_it_comes_before_all_else_of_provisioning(monkeypatch):
    """Before pyinfra is installed, and before any host is inspected or locked. --check changes nothing."""
    done = []

    async def withdraw(fleet, hosts, remove):
        done.append((sorted(host.name for host in hosts), remove))
        raise Refused("a host fails")

    monkeypatch.setattr(command, "withdraw", withdraw)
    monkeypatch.setattr(command.virtualenv, "enter", lambda: done.append("pyinfra"))
    monkeypatch.setattr(command, "work", lambda fleet, args: done.append("work"))
    fleet = fleet_with(deploy_keys=[CI])
    for remove, names in (("", sorted(host.name for host in fleet.hosts)), ("web1", ["web1"])):
        with pytest.raises(Refused):
            command.handle(fleet, argparse.Namespace(check=False, remove=remove, hosts=""))
        assert done.pop() == (names, bool(remove)) and not done
    command.handle(fleet, argparse.Namespace(check=True, remove="", hosts=""))
    assert done == ["pyinfra", "work"]
