"""Provisioning where pyinfra is missing: the command starts again, in the virtualenv that has it."""

import argparse

from deployer.conftest import TOML, fleet_of
from slipway.deploy.commands import provision as command


def test_keys_are_withdrawn_once(monkeypatch):
    """As it does where pyinfra is missing. Whoever exports the variable is no such process."""
    done, started = [], {}

    async def withdraw(*words):
        done.append("withdrawn")

    monkeypatch.setattr(command, "withdraw", withdraw)
    monkeypatch.setattr(command, "work", lambda fleet, args: done.append("work"))
    monkeypatch.setattr(command.virtualenv, "find_spec", lambda name: None)
    monkeypatch.setattr(command.virtualenv.virtualenv, "main", lambda *words: None)
    monkeypatch.setattr(command.virtualenv.os, "execve", lambda python, words, env: started.update(env))
    arguments = argparse.Namespace(check=False, remove="", hosts="")
    monkeypatch.setenv(command.virtualenv.STARTED, "1")
    command.handle(fleet_of(TOML, {}), arguments)
    monkeypatch.setenv(command.virtualenv.STARTED, started[command.virtualenv.STARTED])
    command.handle(fleet_of(TOML, {}), arguments)
    assert done == ["withdrawn", "work", "work"]
