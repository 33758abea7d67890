"""Who looks on from the flip to the commit: what is noticed, what is let pass, and what then is done at once."""

import pytest

from slipway.deploy.agent import disk, docker, facts, fate, http, slots
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.host import Problem
from slipway.deploy.agent.steps.table import STEPS
from slipway.deploy.agent.steps.watcher import Watcher
from deployer.simulated import Simulated
from proc import wait_until

WELL = {"shop-web-b": ["1", "i", 0], "shop-worker-b": ["2", "i", 0], "shop-beat": ["3", "i", 0]}


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host whose slot b has just got the visitors, and how it does: `containers`, `nginx`, `worker`."""
    host = Simulated(tmp_path / "root")
    disk.write(host.slot("b", "worker.ready"), "consuming v2\n")
    host.containers, host.nginx, host.notes = dict(WELL), (200, '{"release": "v2"}'), True

    def ask(*words, **options):
        host.notes and host.note_visit(http.AGENT, 200)
        return host.nginx
    monkeypatch.setattr(facts, "containers", lambda host, ended=False: host.containers)
    monkeypatch.setattr(http, "ask", ask)
    monkeypatch.setattr(docker, "call", host.engine)
    host.note_visit("a browser", 200, 100)
    host.up["shop-beat.service"] = ("v2", "sha256:v2")
    return host


@pytest.fixture
def watch(host):
    """watch(): the Watcher of a release that has just gone live; `told` is what the deployer hears."""
    watchers = []

    def start():
        attempt = Attempt(host, live="a", slot="b", tag="v2", began=0, action="deploy", image_id="sha256:v2")
        attempt.must_not_end(list(WELL), WELL)
        slots.way_back(host, "a")
        watcher = attempt.watcher = Watcher(host, attempt, start.told.append, max_errors=0.05)
        slots.flip(host, "b")
        watcher.start()
        watchers.append(watcher)
        return watcher
    start.told = []
    yield start
    for watcher in watchers:
        watcher.over.set()


def test_a_release_that_is_well(host, watch):
    """A second of it, and a last look at everything."""
    watcher = watch()
    host.note_visit("a browser", 200, 30)
    host.note_visit("a browser", 500)
    assert watcher.rest(1) == (31, 1)
    assert slots.live(host) == "b" and not watch.told


def errs(host):
    host.note_visit("a browser", 500, 30)


def restarts(name):
    return lambda host: host.containers.update({name: ["another", "i", 0]})


ILL = {
    "of 30 answers to visitors 30 were errors": errs,
    "/readyz answers 503 through nginx": lambda host: setattr(host, "nginx", (503, "")),
    "/readyz answers as release v1 through nginx": lambda host: setattr(host, "nginx", (200, '{"release": "v1"}')),
    "shop-worker-b has ended, and is gone": lambda host: host.containers.pop("shop-worker-b"),
    "shop-worker-b has ended, and was started again": restarts("shop-worker-b"),
    "shop-web-b has ended, and was started again": restarts("shop-web-b"),
    "shop-beat has ended, and was started again": restarts("shop-beat"),
    "the worker is paused as release v2": lambda host: disk.write(host.slot("b", "worker.ready"), "paused v2\n"),
}


@pytest.mark.parametrize("text", ILL)
def test_what_is_amiss_takes_the_visitors_back_at_once(host, watch, text):
    """By the host itself, before anything is told; it is told once; then no step succeeds any more."""
    watcher = watch()
    watcher.say = lambda event: watch.told.append({**event, "live": slots.live(host)})
    ILL[text](host)
    wait_until(lambda: watch.told, 30, "it is told")
    assert [(event["event"], event["live"]) for event in watch.told] == [("sick", "a")]
    assert text in watch.told[0]["problem"] and watch.told[0]["more"]["log_of"][0] in WELL
    for step in (lambda: watcher.rest(60), lambda: STEPS["prepare"](host, watcher.attempt, print)):
        with pytest.raises(Problem) as caught:
            step()
        assert text in str(caught.value)
    assert not watcher.attempt.noted.get("promised")


def test_where_a_sick_host_has_promised_the_deployer_decides(host, watch):
    """It is told, and this host goes on: the others may have begun to commit."""
    watcher = watch()
    watcher.attempt.note(promised=True)
    errs(host)
    wait_until(lambda: watch.told, 30, "it is told")
    assert slots.live(host) == "b"
    with pytest.raises(Problem, match="answers to visitors"):
        watcher.rest(60)


def test_an_engine_that_is_away_says_nothing(host, watch):
    """It is never taken for "no container"; nor can beat's healthcheck be run then, at the end."""
    watcher = watch()
    del host.up["shop-beat.service"]
    host.containers = None
    watcher.rest(1.5)
    assert not watch.told


def test_what_cannot_be_watched_is_not_well(host, watch):
    """A look that fails fails the deploy: nobody would notice otherwise."""
    host.containers = 1
    with pytest.raises(Problem, match="cannot be watched: "):
        watch().rest(60)


@pytest.mark.parametrize("harm", [{"notes": False}, {"nginx": (0, "no answer: timed out")}])
def test_visitors_who_cannot_be_watched_are_taken_back(host, watch, harm):
    """A log that grows no more says nothing of them, nor does an nginx that is away."""
    watch()
    vars(host).update(harm)
    wait_until(lambda: watch.told, 30, "it is told")
    assert slots.live(host) == "a"
    assert "visitors cannot be watched: " in watch.told[0]["problem"] or harm.get("nginx")


def test_a_beat_that_is_not_healthy_in_the_end(host, watch):
    """It is asked last, by its own healthcheck."""
    host.broken.add("healthcheck")
    with pytest.raises(Problem, match="beat is not healthy"):
        watch().rest(0)


def test_a_host_that_went_sick_before_its_promise_does_not_commit(host, watch):
    """Though others have: without its visitors it stays on its release, and says why."""
    watcher = watch()
    watcher.attempt.note(renames=[["x", "y"]])
    assert fate.can_commit(host, watcher.attempt.noted)
    errs(host)
    wait_until(lambda: watch.told, 30, "it is told")
    with pytest.raises(Problem, match="nothing was promised here: .*answers to visitors"):
        STEPS["commit"](host, watcher.attempt, print)
    assert not fate.can_commit(host, watcher.attempt.noted)
