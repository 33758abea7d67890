"""Whether visitors fare worse than before: nginx's log in, a verdict out."""

import json
import os
import random

import pytest

from deploy.agent import visitors
from deploy.agent.host import Host

MOST = 0.05


def line(path="/", status=200, app=None, client="192.0.2.1", agent="a browser"):
    """A line of nginx's log; `app`: what the app answered, where that is another status."""
    return json.dumps({"client": client, "path": path, "status": status, "user_agent": agent,
                       "app_status": str(status if app is None else app)}) + "\n"


def clients(count):
    return [f"192.0.2.{number}" for number in range(count)]


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
    """Two of 21 are more than a twentieth, one is not; less than 20 answers tell nothing; none is too many when all may
    be errors."""
    log(*[line()] * 50)
    assert log(*[line()] * 10, *[line(status=500)] * 9) == ""
    assert log(line(status=500)) == "of 20 answers to visitors 10 were errors (before: 0 of 50)"
    assert log(*[line(status=500)] * 500, most=1.0) == ""


def visits(chance, count, share, flaky=0.0, people=8):
    """What visitors are answered: of 100 paths the share errs; of one more, a fifth of all, the share `flaky`."""
    for _ in range(count):
        path = "/flaky" if flaky and chance.random() < 0.2 else f"/{chance.randrange(100)}"
        yield f"c{chance.randrange(people)}", path, chance.random() < (flaky if path == "/flaky" else share)


def errors_until_seen(before, found, rate=50):
    """Errors of the release by when it is found to be worse, asked after each answer; None where it never is."""
    before, late, errors = visitors.history(before), [], 0
    now = visitors.Tally(before.known)
    for number, one in enumerate(found):
        tally = visitors.Tally(before.known, now.seen).count([one])
        now.add(tally)
        late = [*late, tally][-visitors.LATE * rate:]
        errors += one[2]
        of_late = visitors.Tally()
        for tally in late if errors >= visitors.LEAST else ():
            of_late.add(tally)
        if visitors.worse(before, now, of_late, MOST):
            return errors
    return None


@pytest.mark.parametrize("people", [8, 300])
@pytest.mark.parametrize("share, flaky", [(0.01, 0), (0.03, 0), (0.05, 0), (0, 0.5)])
def test_a_release_that_errs_as_the_one_before_is_let_pass(share, flaky, people):
    """However often it is looked at: chance alone takes nothing back."""
    for seed in range(10):
        chance = random.Random(seed)
        assert errors_until_seen(visits(chance, 8000, share, flaky, people),
                                 visits(chance, 120, share, flaky, people)) is None, seed


@pytest.mark.parametrize("people", [8, 300])
@pytest.mark.parametrize("before, good, share", [(0.0, 0, 1.0), (0.01, 150, 1.0), (0.01, 150, 0.4), (0.05, 0, 0.5)])
def test_a_release_that_errs_more_is_seen_by_its_20th_error(before, good, share, people):
    """At once, or after a while that was as before."""
    for seed in range(10):
        chance = random.Random(seed)
        now = [*visits(chance, good, before, 0, people), *visits(chance, 400, share, 0, people)]
        assert errors_until_seen(visits(chance, 8000, before, 0, people), now) <= 20 + before * good * 2, seed


def test_a_path_that_always_erred_excuses_no_other(log):
    """Nor does its flood, nor that it is mended: what the others have together counts by itself."""
    log(*[line("/broken", 500)] * 2000, *[line(f"/{number}") for number in range(20)] * 20)
    assert log(*[line("/broken")] * 100, *[line("/1")] * 80, *[line("/2", 500)] * 20)


def test_what_nginx_answers_by_itself_is_nobody_s_error(log):
    """Its 501 and 505 to what is no HTTP, its 503 of a limit, a file of its own: only what the app answered counts, and
    that it did not answer."""
    log(*[line()] * 50)
    noise = [line(status=status, app="") for status in (501, 505, 500, 503, 400, 200)] + [line(status=499, app="499")]
    assert log(*noise * 50, *[line()] * 300) == ""
    assert log(*[line("/.maintenance.html", 503, app="502")] * 50, *[line("/slow", 504, "504")] * 5)


def test_the_last_of_several_tries_counts(log):
    """nginx notes a status for each."""
    log(*[line()] * 50)
    assert log(*[line(status=200, app="502, 200")] * 100) == ""
    assert log(*[line(status=503, app="502 : 502")] * 100)


def test_a_path_that_erred_before_decides_nothing(log):
    """Asked for a thousand times by one client; what other paths do still counts."""
    log(*[line()] * 200, *[line("/broken", 500)] * 20)
    assert log(*[line("/broken", 500)] * 1000, *[line()] * 100) == ""
    assert log(*[line(status=500)] * 200)


def test_an_error_counts_as_far_as_there_were_fewer(log):
    """A path that erred one time in five, and does now: no more than before. In every second: more."""
    log(*[*[line("/shaky")] * 4, line("/shaky", 500)] * 20)
    assert log(*[*[line("/shaky")] * 4, line("/shaky", 500)] * 20) == ""
    assert log(*[line("/shaky"), line("/shaky", 500)] * 100)


def test_one_client_on_paths_that_nobody_asked_for(log):
    """However often, and whatever it invents: a few answers of each client count. Many clients have found something."""
    log(*[line()] * 200)
    invented = [line(f"/boom/{number}", 500, client="192.0.2.66") for number in range(3000)]
    assert log(*invented, *[line()] * 300) == ""
    of_v6 = [line(f"/boom/{number}", 500, client=f"2001:db8:1:2:{number:x}::1") for number in range(3000)]
    assert log(*of_v6) == ""
    assert log(*[line("/new", 500, client=client) for client in clients(50) for _ in range(3)])


def test_one_client_who_can_make_a_release_err(log):
    """On a path that everybody asks for, as often as it likes: it decides nothing. Many have found something."""
    log(*[line(client=client) for client in clients(20)] * 10)
    one = [line(status=500, client="198.51.100.1")] * 1000
    assert log(*one, *[line(client=client) for client in clients(20)]) == ""
    assert log(*[line(status=500, client=client) for client in clients(50)] * 2)


def test_inventing_paths_hides_nothing_and_costs_nothing(log, monkeypatch):
    """Good answers on paths without end do not thin out the errors of those that are asked for, nor fill memory."""
    monkeypatch.setattr(visitors, "CLIENTS", 100)
    log(*[line()] * 200)
    flood = [line(f"/404/{number}", 404, client=f"198.51.{number // 250}.{number % 250}") for number in range(5000)]
    tally = visitors.Tally({"/"}).count(visitors.answers("".join(flood).encode()))
    assert len(tally.seen) <= 101 and set(tally) == {("other", False)}
    assert log(*flood, *[line()] * 20, *[line(status=500)] * 60)


def test_errors_after_a_long_good_time(log):
    """What was answered well for long does not outweigh what is answered now."""
    log(*[line()] * 50)
    assert log(*[line()] * 10_000) == ""
    log.watched[0].late = [(then - visitors.LATE, tally) for then, tally in log.watched[0].late]
    assert log(*[line(status=500)] * 20)


def test_our_own_questions_are_no_visitors(log):
    """Nor is a torn line, or one of another format."""
    log(*[line()] * 50)
    assert log(*[line(status=500, agent="slipway-deploy")] * 100, "torn\n", "[1]\n", '{"status": 500}\n') == ""


def test_a_log_that_is_turned_over(log):
    """What was before is read of the file before; then the new one is followed from its first line."""
    log(*[line()] * 50, *[line("/broken", 500)] * 50)
    assert log(line()) == ""
    os.rename(log.path, f"{log.path}.1")
    assert log(*[line("/broken", 500)] * 100, *[line()] * 19) == ""
    assert log(*[line(status=500)] * 30)
    known = visitors.Visitors(Host("shop", str(log.path.parents[3])))
    assert known.problem(MOST) == "" and known.before["/broken", True] == 150
