"""--wait: a deploy or rollback that meets another one."""

from types import SimpleNamespace

import pytest

from slipway.deploy.commands.deploy import when_free
from slipway.deploy.errors import Locked, Refused
from slipway.deploy.rollout import hooks
from slipway.deploy.rollout.plan import Target
from slipway.deploy.rollout.rollout import Rollout
from deployer.clock import run


@pytest.fixture
def attempt():
    """attempt(seconds, *outcomes): what came of a run whose tries end so, and what was told."""
    def go(seconds, *outcomes):
        left, said = list(outcomes), []

        async def try_():
            outcome = left.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        try:
            return run(when_free(SimpleNamespace(run=try_, tell=said.append), seconds)), said, left
        except Exception as error:
            return error, said, left
    return go


HELD = Locked("locked on web1: deploy v1 by ann")


def test_a_lock_is_waited_for(attempt):
    """Each try is said, with whose the lock is; then it is done."""
    outcome, said, left = attempt(25, HELD, HELD, "done")
    assert (outcome, left) == ("done", [])
    assert [event["text"] for event in said] == [f"{HELD}; waiting for it"] * 2


def test_it_ends_when_the_time_is_over(attempt):
    """What is told then, and the exit code, is that of a lock; without --wait at once."""
    told = [{"event": "waiting", "text": f"{HELD}; waiting for it"}] * 2
    assert attempt(25, HELD, HELD, HELD, "never") == (HELD, told, ["never"])
    assert attempt(0, HELD, "never") == (HELD, [], ["never"])


def test_nothing_else_is_tried_again(attempt):
    """A refusal is one."""
    refused = Refused("no such tag")
    assert attempt(25, refused, "never") == (refused, [], ["never"])


@pytest.mark.parametrize("lock, outcome", [
    (None, None), ("retirement of slot b", None),
    ("deploy v1 by ann", "on web1: locked: deploy v1 by ann")])
def test_who_is_locked_out_begins_nothing(monkeypatch, lock, outcome):
    """No hook is run, and no host asked for its lock, where somebody else is known to hold one; but a retirement ends
    soon, and each host waits for that by itself."""
    done, hooked = [], {"before": "hook", "committed": "", "failed": ""}
    rollout = Rollout(SimpleNamespace(hooks=hooked, registry=""), [], lambda event: None, "deploy", "v2")

    async def decide(hosts, stack):
        return Target("deploy", "v2"), [], {"web1": {"lock": lock}}

    async def do(*words):
        done.append("deploy")

    async def hook(command, record, must=False):
        done.append(command)
    monkeypatch.setattr(rollout, "_decide", decide)
    monkeypatch.setattr(rollout, "_record", lambda target, hosts: {"hosts": []})
    monkeypatch.setattr(rollout, "_do", do)
    monkeypatch.setattr(hooks, "run", hook)
    if outcome is None:
        run(rollout.run())
        assert done == ["hook", "deploy", ""]
    else:
        with pytest.raises(Locked, match=f"^{outcome}$"):
            run(rollout.run())
        assert done == []
