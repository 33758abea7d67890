"""`slipway view` on hosts that say anything: the page goes on, and names the host."""

import asyncio
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer import viewed
from deployer.agents import Agent, agents, line
from deployer.clock import run
from deployer.test_validate import JSON, LINES, places, with_
from deployer.test_view_asks import answers
from slipway.deploy.server import provisioned
from slipway.deploy.view import state
from slipway.deploy.view.collect import Collector
from slipway.deploy.view.report import report, without_errors

FLEET = viewed.fleet()
WELL = {
    **answers(),
    "errors": {"groups": [viewed.GROUP], "seen_before": [], "since": viewed.NOW - 500},
    "services": viewed.watched()["db"].value("services"),
    "traffic": {"buckets": viewed.ONE_BUCKET, "place": None},
}
WELL["facts"] = {**WELL["facts"], "records": viewed.records()}
WELL["pulse"] = {
    **viewed.PULSE,
    "underway": {"action": "deploy", "tag": "v2", "who": "deploy v2 by ann", "seconds": 1},
    "steps": [{"step": "pull", "state": "start", "since": viewed.NOW}],
    "traffic": {"buckets": viewed.ONE_BUCKET, "place": {"inode": 1, "offset": 3000}},
}


@pytest.fixture(autouse=True)
def files_as_they_were(monkeypatch):
    """Compute the expected files of hosts only once a test, as that takes longer than all the rest."""
    for name in ("of_deploys", "of_others"):
        monkeypatch.setattr(provisioned, name, lambda fleet, host: {})


def page_of(base, odd):
    """Return the page after ten seconds with hosts of such answers, as the browser gets it."""
    hosts = [host for host in FLEET.hosts if host.name in ("front", "web1", "db")]

    async def watch():
        collector = Collector(FLEET, hosts, lambda: viewed.NOW + asyncio.get_running_loop().time())
        task = asyncio.create_task(collector.watch())
        await asyncio.sleep(10)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return state.page(FLEET, collector.watched, viewed.NOW + 10)

    with agents(lambda name: Agent(base, odd)):
        page = run(watch())
    for shown in (page, without_errors(page)):
        assert report(shown).count("</script>") == 2
    return json.loads(json.dumps(page, allow_nan=False))


PLACES = [(request, place) for request in sorted(WELL) for place in places(WELL[request])]


@given(st.sampled_from(PLACES), JSON)
def test_an_answer_with_any_value_anywhere(place, value):
    request, path = place
    page = page_of({**WELL, request: with_(WELL[request], path, value)}, {})
    assert [host["name"] for host in page["hosts"]] == ["front", "web1", "db"]


@given(st.sampled_from(sorted(WELL)), LINES)
def test_a_host_that_says_anything(request, said):
    page = page_of(WELL, {request: lambda message: [said, line({"id": message["id"], "ok": WELL[request]})]})
    assert [host["name"] for host in page["hosts"]] == ["front", "web1", "db"]


def test_these_hosts_are_well_otherwise():
    """Else the tests above would try nothing."""
    page = page_of(WELL, {})
    assert [host["silent"] for host in page["hosts"]] == ["", "", ""] and page["underway"]["steps"] == ["pull"]
    assert page["errors"]["groups"] and page["visitors"]["spans"][0]["errors"] and page["releases"] and page["data"]
