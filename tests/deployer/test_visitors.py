"""Whether visitors fare worse than before: nginx's log in, a verdict out."""

import itertools
import json
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


NOISE = [line(status=status, app="") for status in (501, 505, 500, 503, 400, 200)]
CASES = {  # what was answered before, what then, and whether that is too bad
    "all of one client's, on one path": ([line()] * 50, [line(status=500)] * 20, True),
    "everybody's, beside somebody who asks for much that is well": (
        people(99), people(99, "/", 500) + [line(f"/{number}") for number in range(500)], True),
    "a path's, beside one that always errs": (
        [line("/broken", 500), line()] * 100, [line("/broken", 500), line(), line("/new", 500)] * 20, True),
    "of a release after one that hardly anybody saw": (
        [line(status=500)] * 19, [line(), line(status=500)] * 20, True),
    "nginx's, as the app is away": (people(50), [line("/.maintenance.html", 503, app="502")] * 20, True),
    "nginx's, as the app does not answer": (people(50), [line("/slow", 504, "504, 504")] * 20, True),
    "as much as before": (people(700) + people(300, "/", 500), people(70) + people(30, "/", 500), False),
    "a client who asks again and again for what errs": (
        people(99), [line("/x", 500)] * 1000 + people(99), False),
    "a client who invents what errs": (
        people(99), [line(f"/{number}", 500) for number in range(3000)] + people(199) + people(199, "/b"), False),
    "one with many addresses of IPv6": (people(99), [
        line("/x", 500, client=f"2001:db8:1:2:{number:x}::1") for number in range(3000)] + people(99), False),
    "nginx's own answers, and who did not wait": (
        people(50), NOISE * 50 + [line(status=499, app="500")] * 50, False),
    "the last of several tries is well": (people(50), [line(app="502, 200")] * 50, False),
    "our own questions, and what is no line": (
        people(50), [line(status=500, agent=http.AGENT)] * 50 + ["torn\n", "[1]\n", '{"status": 500}\n'] * 50, False),
}


@pytest.mark.parametrize("name", CASES)
def test_which_release_is_taken_back(log, name):
    before, now, bad = CASES[name]
    log(*before)
    assert ("were errors" in log(*now)) == bad


def visits(chance, share):
    """What visitors are answered who come one after the other, with two to ten requests each at eight paths."""
    for number in itertools.count():
        for _ in range(chance.randint(2, 10)):
            yield f"c{number}", f"/{chance.randrange(8)}", chance.random() < share


def taken_back(usual, found):
    """Whether a release is, by these answers, asked after each."""
    tally = visitors.Tally()
    return any(tally.count(*one) or visitors.worse(usual, tally, MOST) for one in found)


@pytest.mark.parametrize("before, now, least, most", [
    (0.01, 0.01, 0, 0.06), (0.03, 0.03, 0.1, 0.25), (0, 0.05, 0.7, 0.95), (0.01, 0.1, 1, 1), (0.3, 0.63, 1, 1)])
def test_how_often_it_is_wrong(before, now, least, most):
    """docs/deploy.md has these figures, of 200 releases with 600 answers each: `least` to `most` are taken back."""
    usual = visitors.Tally()
    for one in itertools.islice(visits(random.Random("before"), before), 8000):
        usual.count(*one)
    share = sum(taken_back(usual, itertools.islice(visits(random.Random(seed), now), 600)) for seed in range(200)) / 200
    assert least <= share <= most


def test_a_flood_costs_nothing(monkeypatch):
    """However many clients and paths there are, so many are told apart."""
    monkeypatch.setattr(visitors, "EACH", 100)
    tally = visitors.Tally()
    for number in range(5000):
        tally.count(f"c{number % 999}", f"/{number}", False)
    assert (len(tally.each), tally.total) == (100, 5000)


def test_a_log_that_begins_anew(log):
    """Turned over or cut short: errors just after the flip are no habit of the release before, wherever they are."""
    log(*people(200))
    log.path.rename(f"{log.path}.1")
    assert log(*people(300, "/", 500)) == "of 300 answers to visitors 300 were errors (before: 0 of 200)"
    log.path.write_text("")
    assert log(*people(20, "/", 500)) == "of 320 answers to visitors 320 were errors (before: 0 of 200)"
