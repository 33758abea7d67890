"""slipway unlock: it breaks the lock that it has shown, when told to, and leaves word of it on the host."""

import argparse
import asyncio
import subprocess

import pytest

from proc import executable
from slipway.deploy.agent import takeback
from slipway.deploy.commands import unlock
from slipway.deploy.errors import DeployError, HostProblem, Refused
from slipway.deploy.ssh.child import Done

HELD = b"ActiveState=active\nInvocationID=0123\nDescription=deploy v2 by ann\xe2\x80\xa8ActiveState=inactive\n"
FREE = b"ActiveState=inactive\nInvocationID=\nDescription=shop-deploy.service\n"


@pytest.fixture
def asked(monkeypatch):
    """The commands that hosts got, as `hosts.words`; `hosts.state`: of the unit; `hosts.answer`: the user's."""
    hosts = argparse.Namespace(words=[], state=HELD, answer=True, fails=False)

    async def run(host, ssh, words, timeout=60, check=False):
        hosts.words.append((host.name, words))
        if hosts.fails and words[2] == unlock.BREAK:
            raise HostProblem("it has changed hands meanwhile")
        return Done(0, hosts.state, b"")

    monkeypatch.setattr(unlock, "run", run)
    monkeypatch.setattr(unlock, "confirm", lambda question: hosts.answer)
    monkeypatch.setattr(unlock, "who", lambda what: f"{what} by bob from home since 2026-11-29 10:00:00 UTC")
    return hosts


def call(fleet, host="web1", yes=False):
    asyncio.run(unlock.handle(fleet, argparse.Namespace(host=host, yes=yes)))


def test_the_lock_that_was_shown_is_broken(fleet, asked, capsys):
    call(fleet)
    shown = r"deploy v2 by ann\u2028ActiveState=inactive"
    assert capsys.readouterr().out == f"web1: locked: {shown}\nweb1: the lock is broken\n"
    name, words = asked.words[1]
    assert name == "web1" and words[2:] == [
        *(unlock.BREAK, "sh", "shop", "0123"),
        f"unlock by bob from home since 2026-11-29 10:00:00 UTC: broke the lock: {shown}",
        "the lock was broken by bob from home",
    ]


@pytest.mark.parametrize(("answer", "yes", "breaks"), [(False, False, False), (True, False, True), (False, True, True)])
def test_it_asks(fleet, asked, answer, yes, breaks):
    asked.answer = answer
    if breaks:
        call(fleet, yes=yes)
    else:
        with pytest.raises(Refused, match=r"^the lock stays: answer y, or add --yes$"):
            call(fleet, yes=yes)
    assert len(asked.words) == 1 + breaks


@pytest.mark.parametrize("state", [FREE, FREE.replace(b"inactive", b"failed")])
def test_a_host_that_nobody_has_locked(fleet, asked, capsys, state):
    asked.state = state
    call(fleet, yes=True)
    assert capsys.readouterr().out == "web1: nobody holds the lock\n" and len(asked.words) == 1


def test_a_host_that_is_none(fleet, asked):
    with pytest.raises(Refused, match=r"^no host 'web9'; the hosts are: web1, web2, "):
        call(fleet, "web9")


def test_another_holder_keeps_the_lock(fleet, asked):
    asked.fails = True
    with pytest.raises(DeployError, match="on web1: it has changed hands meanwhile"):
        call(fleet)


@pytest.fixture
def shell(tmp_path):
    """Return a function that runs BREAK with stubs, which note what they get: a unit's invocation is 0123."""
    for name in ("systemctl", "logger"):
        show = "case $1 in show) echo 0123 ;; esac" if name == "systemctl" else ":"
        executable(tmp_path / name, f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/ran\n{show}\n')

    def call(invocation):
        script = unlock.BREAK.replace("/run/$1", f"{tmp_path}/run/$1")
        words = ["sh", "-c", script, "sh", "shop", invocation, "unlock by bob: broke", "the lock was broken by bob"]
        done = subprocess.run(
            words, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=False
        )
        return done, (tmp_path / "ran").read_text().splitlines()[1:]

    return call


def test_what_the_host_does(shell, tmp_path):
    """It notes who, then ends the unit; a host without the app has no releases.log."""
    steps = ["logger -p authpriv.notice -t shop-unlock -- unlock by bob: broke", "systemctl stop shop-deploy.service"]
    assert shell("0123")[1] == steps
    (tmp_path / "run/shop").mkdir(parents=True)
    (tmp_path / "ran").unlink()
    assert shell("0123")[1] == steps
    assert (tmp_path / "run/shop/lock.broken").read_text() == "the lock was broken by bob"


def test_a_lock_of_somebody_else_s_is_left(shell):
    done, ran = shell("9999")
    assert done.returncode and "it has changed hands meanwhile" in done.stderr and ran == []


def test_the_record_says_who_broke_the_lock(machine):
    machine.begun("deploy", "v2", 3)
    with open(machine.host.lock_broken, "w") as file:
        file.write("the lock was broken by bob from home")
    noted = takeback.releases.read_attempt(machine.host)
    takeback.note_failure(machine.host, noted)
    takeback.note_failure(machine.host, {**noted, "cause": "told to"})
    causes = [record["cause"] for record in takeback.releases.read_log(machine.host)[0][-2:]]
    assert causes == ["the lock was broken by bob from home", "told to"]
