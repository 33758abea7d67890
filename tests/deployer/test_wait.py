"""--wait: a deploy or rollback that meets another one."""

from types import SimpleNamespace

import pytest

from slipway.deploy.commands.deploy import when_free
from slipway.deploy.errors import Locked, Refused
from slipway.deploy.rollout import hooks
from slipway.deploy.rollout.plan import Target
from slipway.deploy.rollout.rollout import Rollout
from deployer.clock import run


HELD, REFUSED = Locked("locked on web1: deploy v1 by ann"), Refused("no such tag")


@pytest.mark.parametrize("seconds, tries, tried, told", [
    (25, [HELD, HELD, "done"], 3, 2), (25, [HELD, HELD, HELD, "never"], 3, 2), (0, [HELD, "never"], 1, 0),
    (25, [REFUSED, "never"], 1, 0)])
def test_a_lock_is_waited_for(seconds, tries, tried, told):
    """Each try is said, with whose the lock is; when the time is over that is what is told. A refusal is one."""
    left, said = list(tries), []

    async def try_():
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome
    try:
        outcome = run(when_free(SimpleNamespace(run=try_, tell=said.append), seconds))
    except Exception as error:
        outcome = error
    assert outcome is tries[tried - 1] and left == tries[tried:]
    assert said == [{"event": "waiting", "text": f"{HELD}; waiting for it"}] * told


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
