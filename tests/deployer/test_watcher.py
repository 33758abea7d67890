"""The watcher of a host from flip to commit: faults that it reports or ignores, and its takeback of visitors."""

import itertools
import json
import random
import time

import pytest

from deployer.simulated import Simulated
from proc import put, wait_until
from slipway.deploy.agent import disk, docker, facts, http, releases, slots, visitors
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.host import Host, Problem
from slipway.deploy.agent.steps.table import STEPS
from slipway.deploy.agent.steps.watcher import Watcher

WELL = {"shop-web-b": ["1", "i", 0], "shop-worker-b": ["2", "i", 0], "shop-beat": ["3", "i", 0]}


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A healthy host whose visitors move to slot b; `containers`, `nginx` and `notes` (nginx logs) are its state."""
    host = Simulated(tmp_path / "root")
    disk.write(host.slot("b", "worker.ready"), "consuming v2\n")
    host.containers, host.nginx, host.notes = dict(WELL), (200, '{"release": "v2"}'), True

    def ask(*words, **options):
        if host.notes:
            host.note_visit(http.AGENT, 200)
        return host.nginx

    monkeypatch.setattr(facts, "containers", lambda host, ended=False: host.containers)
    monkeypatch.setattr(http, "ask", ask)
    monkeypatch.setattr(docker, "call", host.engine)
    host.note_visit("a browser", 200, 100)
    host.up["shop-beat.service"] = ("v2", "sha256:v2")
    return host


@pytest.fixture
def watch(host):
    """watch(): the Watcher of a release that has just gone live; `told` lists its events for the deployer."""
    watchers = []

    def start():
        attempt = Attempt(host, live="a", slot="b", tag="v2", started=0, action="deploy", image_id="sha256:v2")
        attempt.must_not_end(list(WELL), WELL)
        slots.prepare_way_back(host, "a")
        watcher = Watcher(host, attempt, start.events.append, max_errors=0.05)
        slots.flip(host, "b")
        watcher.start()
        watchers.append(watcher)
        return watcher

    start.events = []
    yield start
    for watcher in watchers:
        watcher.attempt.over.set()


def errs(host):
    host.note_visit("a browser", 500, 30)


def restarts(name):
    return lambda host: host.containers.update({name: ["another", "i", 0]})


ILL = {
    "of 30 answers to visitors 30 were errors": errs,
    "/readyz answers 503 through nginx": lambda host: setattr(host, "nginx", (503, "")),
    "/readyz answers as release v1 through nginx": lambda host: setattr(host, "nginx", (200, '{"release": "v1"}')),
    "shop-worker-b has exited, and is removed": lambda host: host.containers.pop("shop-worker-b"),
    "shop-worker-b has exited, and was restarted": restarts("shop-worker-b"),
    "shop-web-b has exited, and was restarted": restarts("shop-web-b"),
    "shop-beat has exited, and was restarted": restarts("shop-beat"),
    "the worker is paused as release v2": lambda host: disk.write(host.slot("b", "worker.ready"), "paused v2\n"),
}


@pytest.mark.parametrize("text", ILL)
def test_what_is_amiss_takes_the_visitors_back_at_once(host, watch, text):
    watcher = watch()
    watcher.say = lambda event: watch.events.append({**event, "live": slots.live(host)})
    ILL[text](host)
    wait_until(lambda: watch.events, 30, "it is told")
    assert [(event["event"], event["live"]) for event in watch.events] == [("sick", "a")]
    assert text in watch.events[0]["problem"] and watch.events[0]["details"]["log_of"][0] in WELL
    for step in (lambda: watcher.watch_for(60), lambda: STEPS["prepare"](host, watcher.attempt, print)):
        with pytest.raises(Problem) as caught:
            step()
        assert text in str(caught.value)
    assert not watcher.attempt.noted.get("promised")


def test_where_a_sick_host_has_promised_the_deployer_decides(host, watch):
    watcher = watch()
    watcher.attempt.note(promised=True)
    errs(host)
    wait_until(lambda: watch.events, 30, "it is told")
    assert slots.live(host) == "b"
    with pytest.raises(Problem, match="answers to visitors"):
        watcher.watch_for(60)


def test_what_is_well_goes_on(host, watch):
    """At the end all checks have run once more; the visitors stay with the release."""
    assert watch().watch_for(0.1)["errors"] == 0
    assert not watch.events and slots.live(host) == "b"


def test_an_engine_that_is_away_says_nothing(host, watch):
    watcher = watch()
    del host.up["shop-beat.service"]
    host.containers = None
    watcher.watch_for(1.5)
    assert not watch.events


def test_what_cannot_be_watched_is_not_well(host, watch):
    host.containers = 1
    with pytest.raises(Problem, match="cannot be watched: "):
        watch().watch_for(60)


MOST = 0.05
SIX = time.mktime((2026, 11, 26, 6, 0, 0, 0, 0, -1)) + 0.5 - time.time() + time.monotonic()


def line(path="/", status=200, app=None, client="192.0.2.1", agent="a browser", **extra):
    """Return a line of nginx's log; `app`: the app's status, if it differs from nginx's."""
    return (
        json.dumps(
            {
                "client": client,
                "path": path,
                "status": status,
                "user_agent": agent,
                "app_status": str(status if app is None else app),
                **extra,
            }
        )
        + "\n"
    )


def people(count, path="/", status=200):
    """Return a log line for each of `count` clients."""
    return [line(path, status, client=f"c{number}") for number in range(count)]


@pytest.fixture
def log(tmp_path):
    """log(lines, …): add lines to nginx's log; the first call starts the watch, later ones return its problem."""
    path = put(tmp_path / "var/log/nginx/shop.access.log", "")

    def add(*lines, most=MOST):
        with path.open("a") as file:
            file.writelines(lines)
        if not add.watched:
            return add.watched.append(visitors.Visitors(Host("shop", str(tmp_path)), started=SIX))
        return add.watched[0].problem(most)

    add.path, add.watched = path, []
    return add


def test_errors_of_the_release_are_seen(log):
    log(*[line()] * 50)
    assert log(*[line()] * 18, line(status=500)) == "" == log(line())
    assert log(line(status=500)) == "of 21 answers to visitors 2 were errors (before: 0 of 50)"
    assert log(*[line(status=500)] * 500, most=1.0) == ""


def test_how_long_visitors_waited(log):
    """A deploy that begins at six tells it of answers before and since, without websockets."""

    def timed(at, seconds, status=200):
        return line(status=status, time=f"2026-11-26T{at}+00:00", app_seconds=str(seconds))

    log(*[timed("05:59:58", 0.1)] * 198, *[timed("05:59:59", 3.0)] * 2, timed("06:00:00", "9.0, 0.5"))
    log(timed("06:00:01", 900.0, 101), timed("06:00:02", 0.7))
    assert log.watched[0].speeds() == ((3.0, 0.1), (0.7, 0.7))
    assert visitors.Visitors(Host("none")).speeds() == (None, None)


def test_a_log_that_is_replaced_is_read_from_its_start(log):
    log(*[line()] * 50)
    log.path.rename(f"{log.path}.1")
    assert log(*[line(status=500)] * 99) == "of 99 answers to visitors 99 were errors (before: 0 of 50)"


NOISE = [line(status=status, app="") for status in (501, 505, 500, 503, 400, 200)]
CASES = {  # log lines before the flip, log lines after it, True if the release is taken back
    "all of one client's, on one path": ([line()] * 50, [line(status=500)] * 20, True),
    "everybody's, beside somebody who asks for much that is well": (
        people(99),
        people(99, "/", 500) + [line(f"/{number}") for number in range(500)],
        True,
    ),
    "a path's, beside one that always errs": (
        [line("/broken", 500), line()] * 100,
        [line("/broken", 500), line(), line("/new", 500)] * 20,
        True,
    ),
    "of a release after one that hardly anybody saw": ([line(status=500)] * 19, [line(), line(status=500)] * 20, True),
    "nginx's, as the app is away": (people(50), [line("/.maintenance.html", 503, app="502")] * 20, True),
    "nginx's, as the app does not answer": (people(50), [line("/slow", 504, "504, 504")] * 20, True),
    "as much as before": (people(700) + people(300, "/", 500), people(70) + people(30, "/", 500), False),
    "a client who asks again and again for what errs": (people(99), [line("/x", 500)] * 1000 + people(99), False),
    "a client who invents what errs": (
        people(99),
        [line(f"/{number}", 500) for number in range(3000)] + people(199) + people(199, "/b"),
        False,
    ),
    "one with many addresses of IPv6": (
        people(99),
        [line("/x", 500, client=f"2001:db8:1:2:{number:x}::1") for number in range(3000)] + people(99),
        False,
    ),
    "nginx's own answers, and who did not wait": (people(50), NOISE * 50 + [line(status=499, app="500")] * 50, False),
    "the last of several tries is well": (people(50), [line(app="502, 200")] * 50, False),
    "our own questions, and what is no line": (
        people(50),
        [line(status=500, agent=http.AGENT), line("/readyz", 500, asked_by="machine")] * 50
        + ["torn\n", "[1]\n", '{"status": 500}\n'] * 50,
        False,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_which_release_is_taken_back(log, name):
    before, now, bad = CASES[name]
    log(*before)
    assert ("were errors" in log(*now)) == bad


def visits(chance, share):
    """Yield answers to visitors who come one after the other, each with two to ten requests to eight paths."""
    for number in itertools.count():
        for _ in range(chance.randint(2, 10)):
            yield f"c{number}", f"/{chance.randrange(8)}", chance.random() < share


def taken_back(usual, result):
    """Return True if a release with these answers is taken back; it is judged after each of them."""
    tally = visitors.Tally()
    return any(tally.count(*one) or visitors.is_worse(usual, tally, MOST) for one in result)


@pytest.mark.parametrize(
    "before, now, least, most",
    [(0.01, 0.01, 0, 0.06), (0.03, 0.03, 0.1, 0.25), (0, 0.05, 0.7, 0.95), (0.01, 0.1, 1, 1)],
)
def test_how_often_it_is_wrong(before, now, least, most):
    """Of 200 releases with 600 answers each, a share of `least` to `most` is taken back."""
    usual = visitors.Tally()
    for one in itertools.islice(visits(random.Random("before"), before), 8000):
        usual.count(*one)
    share = sum(taken_back(usual, itertools.islice(visits(random.Random(seed), now), 600)) for seed in range(200)) / 200
    assert least <= share <= most


def test_a_flood_costs_nothing(monkeypatch):
    monkeypatch.setattr(visitors, "EACH", 100)
    tally = visitors.Tally()
    for number in range(5000):
        tally.count(f"c{number % 999}", f"/{number}", False)
    assert (len(tally.each), tally.total) == (100, 5000)


def test_what_visitors_meet_after_the_watch_counts_until_the_commit(machine):
    """Other hosts may be watched longer."""
    attempt = machine.begun("deploy", "v2", [name for name, _ in machine.steps("deploy", "v2")].index("promise") + 1)
    before = attempt.seen()
    machine.host.note_visit("a browser", 500)
    seen = STEPS["commit"](machine.host, attempt, print)["seen"]
    assert (seen["answers"], seen["errors"]) == (before["answers"] + 1, before["errors"] + 1)


def test_a_log_that_fails_after_the_commit_fails_no_deploy(machine):
    """As on a broken disk: the release is live by then."""
    attempt = machine.begun("deploy", "v2", [name for name, _ in machine.steps("deploy", "v2")].index("promise") + 1)

    def fail():
        raise OSError(5, "Input/output error", "/var/log/nginx/shop.log")

    attempt.seen = fail
    assert STEPS["commit"](machine.host, attempt, print) == {"seen": None}
    assert releases.read_tag(machine.host.tag)["tag"] == "v2"


def test_nobody_has_watched_a_rollback(machine):
    machine.attempt("deploy", "v2")
    steps = [name for name, _ in machine.steps("rollback", "v1")]
    attempt = machine.begun("rollback", "v1", steps.index("promise") + 1)
    assert STEPS["commit"](machine.host, attempt, print) == {"seen": None}
