"""A deploy that shows itself on the page of `slipway view`."""

import asyncio
import types

import pytest

from deployer import viewed
from deployer.viewed import NOW
from slipway.deploy.commands import view
from slipway.deploy.view.own_deploy import OwnDeploy


def test_what_a_deploy_knows_of_itself():
    own = OwnDeploy()
    for event in (
        {"event": "progress", "text": "checking web1"},
        {"event": "step", "step": "pull", "host": "web1", "state": "start"},
        {"event": "step", "step": "pull", "host": "web2", "state": "start"},
        {"event": "waiting", "host": "web1", "text": "pulled 40 of 120 MB"},
        {"event": "waiting", "host": "web2", "text": "pulled\x1b[2J 41 of 120 MB"},
        {"event": "step", "step": "pull", "host": "web1", "state": "done", "seconds": 2},
        {"event": "warning", "text": "lock: nobody writes"},
        {"event": "result", "outcome": "committed", "text": "build-44 is live"},
    ):
        own.tell(event)
    told = own.shown()
    assert told["lines"] == ["checking web1", "lock: nobody writes"] and told["result"] == "" and not own.end_shown
    [note] = told["notes"]
    assert note.startswith("web2: pulled") and "\x1b" not in note
    own.over = True
    assert own.shown()["result"] == "build-44 is live" and own.end_shown


@pytest.mark.parametrize(("looks", "waits"), [(False, False), (True, True)])
def test_the_page_gets_the_end_of_its_deploy(looks, waits):
    """Once the hosts have told what they are like then; web3 is silent, and not awaited."""
    own, seen = OwnDeploy(), viewed.watched()
    collector = types.SimpleNamespace(watched=seen, now=lambda: NOW)

    async def look():
        own.shown()
        await asyncio.sleep(0.3)
        assert not own.over
        for each in seen.values():
            if not each.problem and "facts" in each.answers:
                each.answers["facts"].at = NOW + 1
        while not own.over:
            await asyncio.sleep(0.05)
        own.shown()

    async def end():
        looking = asyncio.create_task(look() if looks else asyncio.sleep(0))
        await asyncio.sleep(0)
        await view.await_last_answers(collector, own)
        await looking

    asyncio.run(end())
    assert (own.over, own.end_shown) == (waits, waits)
