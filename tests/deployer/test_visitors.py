"""Whether visitors fare worse than before: nginx's log in, a verdict out."""

import itertools
import json
import os
import random

import pytest

from slipway.deploy.agent import http, visitors
from slipway.deploy.agent.host import Host

MOST = 0.05


def line(path="/", status=200, app=None, client="192.0.2.1", agent="a browser"):
    """A line of nginx's log; `app`: what the app answered, where that is another status."""
    return json.dumps({"client": client, "path": path, "status": status, "user_agent": agent,
                       "app_status": str(status if app is None else app)}) + "\n"


def people(count, path="/", status=200):
    """An answer to each of so many clients."""
    return [line(path, status, client=f"c{number}") for number in range(count)]


@pytest.fixture
def log(tmp_path):
    """log(lines, …): more of nginx's log; each call is followed by a look, whose verdict it returns."""
    path = tmp_path / "var/log/nginx/shop.access.log"
    path.parent.mkdir(parents=True)

    def add(*lines, most=MOST):
        with path.open("a") as file:
            file.writelines(lines)
        if not add.watched:
            return add.watched.append(visitors.Visitors(Host("shop", str(tmp_path))))
        return add.watched[0].problem(most)
    add.path, add.watched = path, []
    return add


def test_errors_of_the_release_are_seen(log):
    """One of 20 is no more than a twentieth, two are, less than 20 answers tell nothing; none is too many when all may
    be errors."""
    log(*[line()] * 50)
    assert log(*[line()] * 18, line(status=500)) == "" == log(line())
    assert log(line(status=500)) == "of 21 answers to visitors 2 were errors (before: 0 of 50)"
    assert log(*[line(status=500)] * 500, most=1.0) == ""


OUTAGES = {  # what was answered before, and what then is too bad
    "all of one client's, on one path": ([line()] * 50, [line(status=500)] * 20),
    "a third of one client's, after a good while": ([line()] * 50, [line()] * 200 + [line(), line(status=500)] * 100),
    "everybody's, beside somebody who asks for much that is well": (
        people(99), people(99, "/", 500) + [line(f"/{number}") for number in range(500)]),
    "a path's, beside one that always errs": (
        [line("/broken", 500), line()] * 100, [line("/broken", 500), line(), line("/new", 500)] * 20),
    "of a release that the one before excuses in part": (people(99) + people(9, "/", 500), people(99, "/", 500)),
    "of a release after one that hardly anybody saw": ([line(status=500)] * 19, [line(), line(status=500)] * 20),
    "nginx's, as the app is away": (people(50), [line("/.maintenance.html", 503, app="502")] * 20),
    "nginx's, as the app does not answer": (people(50), [line("/slow", 504, "504, 504")] * 20),
}


@pytest.mark.parametrize("name", OUTAGES)
def test_a_bad_release_is_taken_back(log, name):
    before, now = OUTAGES[name]
    log(*before)
    assert "were errors" in log(*now)


NOISE = [line(status=status, app="") for status in (501, 505, 500, 503, 400, 200)]
WELL = {
    "as much as before": (people(700) + people(300, "/", 500), people(70) + people(30, "/", 500)),
    "one error of somebody who asked but once": (people(99), [line()] * 19 + [line("/x", 500, client="c1")]),
    "a client who asks again and again for what errs": (people(99), [line("/x", 500)] * 1000 + people(99)),
    "a client who invents what errs": (
        people(99), [line(f"/{number}", 500) for number in range(3000)] + people(199) + people(199, "/b")),
    "one with many addresses of IPv6": (
        people(99), [line("/x", 500, client=f"2001:db8:1:2:{number:x}::1") for number in range(3000)] + people(99)),
    "nginx's own answers, and who did not wait": (people(50), NOISE * 50 + [line(status=499, app="499")] * 50),
    "the last of several tries is well": (people(50), [line(app="502, 200")] * 50),
    "our own questions, and what is no line": (
        people(50), [line(status=500, agent=http.AGENT)] * 50 + ["torn\n", "[1]\n", '{"status": 500}\n'] * 50),
}


@pytest.mark.parametrize("name", WELL)
def test_a_good_release_stays(log, name):
    before, now = WELL[name]
    log(*before)
    assert log(*now) == ""


def visits(chance, share):
    """What visitors are answered who come one after the other, with two to ten requests each at eight paths."""
    for number in itertools.count():
        for _ in range(chance.randint(2, 10)):
            yield f"c{number}", f"/{chance.randrange(8)}", chance.random() < share


def taken_back(usual, found):
    """Whether a release is, by these answers, asked after each."""
    tally = visitors.Tally()
    return any(tally.count([one]) or visitors.worse(usual, tally, MOST) for one in found)


@pytest.mark.parametrize("before, now, least, most", [
    (0, 0.001, 0, 0.02), (0.01, 0.01, 0, 0.06), (0.03, 0.03, 0.1, 0.25), (0, 0.05, 0.7, 0.95), (0.05, 0.1, 0.7, 0.95),
    (0, 0.1, 1, 1), (0.01, 0.1, 1, 1), (0.01, 0.33, 1, 1), (0.3, 0.63, 1, 1)])
def test_how_often_it_is_wrong(before, now, least, most):
    """docs/deploy.md has these figures, of 200 releases with 600 answers each: `least` to `most` are taken back."""
    usual = visitors.Tally()
    usual.count(itertools.islice(visits(random.Random("before"), before), 8000))
    share = sum(taken_back(usual, itertools.islice(visits(random.Random(seed), now), 600)) for seed in range(200)) / 200
    print(f"before {before:.1%}, now {now:.1%}: {share:.1%} are taken back")
    assert least <= share <= most


def test_a_flood_costs_nothing(monkeypatch):
    """However many clients and paths there are, so many are told apart."""
    monkeypatch.setattr(visitors, "EACH", 100)
    tally = visitors.Tally()
    tally.count((f"c{number % 999}", f"/{number}", False) for number in range(5000))
    assert (len(tally.each), len(tally.paths), tally.total) == (100, 100, 5000)


def test_a_log_that_is_turned_over(log):
    """What was before is read of the file before; then the new one is followed from its first line."""
    log(*people(50), *people(30, "/", 500))
    os.rename(log.path, f"{log.path}.1")
    log.path.write_text("".join(people(20)))
    turned = visitors.Visitors(Host("shop", str(log.path.parents[3])))
    assert (turned.usual().total, turned.usual().wrong) == (100, 30)
    assert log(*people(19, "/", 500)) == "of 39 answers to visitors 19 were errors (before: 30 of 80)"
    assert turned.problem(MOST) == "" and turned.counts() == (19, 19)


def test_what_was_before_is_not_read_of_a_log_that_begins_anew(log):
    """Errors just after the flip are no habit of the release before, wherever in the file they are."""
    log(*people(200))
    log.path.write_text("")
    assert log(*people(40, "/", 500)) == "of 40 answers to visitors 40 were errors (before: 0 of 200)"
