"""The questions of `slipway view` to the hosts."""

import asyncio
import contextlib
import math
from unittest import mock

import pytest

from deployer import viewed
from deployer.agents import Agent, agents, fine, line
from deployer.clock import run
from deployer.viewed import NOW
from slipway.deploy.view import problems
from slipway.deploy.view.collect import Collector


def elapsed():
    return asyncio.get_running_loop().time()


def watched(agent, seconds, hosts=2, clock=elapsed):
    """Watch for so many seconds; return the collector, and what was asked. The hosts' clock stands still."""
    fleet, asked = viewed.fleet(), []

    async def watch():
        collector = Collector(fleet, fleet.hosts[:hosts], clock)
        task = asyncio.create_task(collector.watch())
        await asyncio.sleep(seconds)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return collector

    with agents(lambda name: agent(name, asked)) as pipes, mock.patch.object(problems, "SKEW", math.inf):
        collector = run(watch())
    assert all(pipe.gone for pipe in pipes), "nothing is left on the hosts"
    return collector, asked, pipes


def answers(**changes):
    return {
        **fine(viewed.fleet()),
        "pulse": viewed.PULSE,
        "backups": viewed.WELL,
        "celery": {"worker": None, "beat": None, "waiting": {}, "dead": None},
        "errors": {"groups": [], "seen_before": [], "since": None},
        **changes,
    }


def test_each_host_is_asked_over_one_connection():
    collector, asked, pipes = watched(lambda name, asked: Agent(answers(), asked=asked), 121)
    assert len(pipes) == 2 and 2 * 20 <= asked.count("pulse") <= 2 * 25
    assert asked.count("facts") == 3 and asked.count("errors") in (4, 5), "the balancer has no app"
    assert {each.problem for each in collector.watched.values()} == {""}


def test_a_change_on_a_host_is_looked_at_once():
    states = iter(range(100))

    def pulse(message):
        return [line({"id": message["id"], "ok": {**viewed.PULSE, "state": str(next(states))}})]

    _, asked, _ = watched(lambda name, asked: Agent(answers(), {"pulse": pulse}, asked) if "web1" in name else None, 22)
    assert asked.count("facts") == asked.count("pulse") == 5


def test_a_host_with_a_problem_is_asked_again_soon():
    """After 15 s, and then each 30 s; others each 50 s."""

    def facts(message):
        return [line({"id": message["id"], "ok": {**answers()["facts"], "strangers": ["elsewhere"]}})]

    def times(odd):
        _, asked, _ = watched(lambda name, asked: Agent(answers(), odd, asked) if "web1" in name else None, 239)
        return asked.count("facts")

    assert times({"facts": facts}) == 9 and times({}) == 5


def test_a_problem_that_only_all_hosts_show_is_no_reason_to_ask_all_the_time():
    """web2 has another release committed, of which web1 knows nothing."""
    differs = {**answers()["facts"], "tag": {"tag": "v9", "image_id": "sha256:9"}}

    def agent(name, asked):
        return Agent(answers(), asked=asked) if "web1" in name else Agent(answers(facts=differs))

    collector, asked, _ = watched(agent, 120, hosts=3)
    assert collector.watched["web1"].begins and 4 < asked.count("facts") < 8


def test_errors_are_looked_for_when_visitors_meet_some():
    """And not before the journal has rested from the last search, which took 0.4 s."""

    def pulse(message):
        buckets = [{"at": 1.0, "statuses": {"2": 3, "5": 1}, "times": {}}]
        return [line({"id": message["id"], "ok": {**viewed.PULSE, "traffic": {"buckets": buckets, "place": None}}})]

    def errors(message):
        asyncio.get_running_loop().selector.now += 0.4
        return [line({"id": message["id"], "ok": answers()["errors"]})]

    _, asked, _ = watched(
        lambda name, asked: Agent(answers(), {"pulse": pulse, "errors": errors}, asked) if "web1" in name else None, 62
    )
    assert asked.count("errors") == 4, "each 20 s"


def test_a_deploy_is_watched_each_second():
    under = {**viewed.PULSE, "underway": {"action": "deploy", "tag": "v2", "who": "", "seconds": 1}}
    _, asked, _ = watched(lambda name, asked: Agent(answers(pulse=under), asked=asked) if "web1" in name else None, 20)
    assert 18 <= asked.count("pulse") <= 21


def test_a_question_without_an_answer_is_a_problem_of_the_host():
    """Such as the errors of a slow journal. The host is not silent."""

    def errors(message):
        return [line({"id": message["id"], "problem": "the journal is slow", "details": {}})]

    collector, asked, pipes = watched(lambda name, asked: Agent(answers(), {"errors": errors}, asked), 20)
    web1 = collector.watched["web1"]
    assert len(pipes) == 2 and web1.problem == "" and web1.failed == {"errors": "the journal is slow"}
    assert web1.value("errors") is None and asked.count("pulse") > 6


def test_a_host_in_trouble_is_asked_sooner():
    """Its visitors get errors from 60 s on: at once for facts, and for errors though a slow search would rest."""
    times = {"facts": [], "errors": []}

    def pulse(message):
        ill = asyncio.get_running_loop().time() > 60
        bucket = {"at": asyncio.get_running_loop().time(), "statuses": {"2": 3, "5": 3}, "times": {}}
        traffic = {"buckets": [bucket] if ill else [], "place": None}
        return [line({"id": message["id"], "ok": {**viewed.PULSE, "traffic": traffic}})]

    def noted(request, seconds):
        def answer(message):
            times[request].append(asyncio.get_running_loop().time())
            asyncio.get_running_loop().selector.now += seconds

        return answer

    odd = {"pulse": pulse, "facts": noted("facts", 0.1), "errors": noted("errors", 4)}
    watched(lambda name, asked: Agent(answers(), odd, asked) if "web1" in name else None, 140)
    first, *later = [at for at in times["facts"] if at > 60]
    assert first < 70 and [round(at - first) for at in later] == [15, 45], "and not only after 50 s"
    assert len(times["errors"]) == 5, "the first, and each 20 s and the time of a search from 60 s on"


def test_a_search_that_fails_is_no_reason_to_search_more_often():
    def errors(message):
        asyncio.get_running_loop().selector.now += 15
        return [line({"id": message["id"], "problem": "the journal is slow", "details": {}})]

    _, asked, _ = watched(
        lambda name, asked: Agent(answers(), {"errors": errors}, asked) if "web1" in name else None, 600
    )
    assert asked.count("errors") == 1


@pytest.mark.parametrize(("seconds", "searches"), [(0.4, True), (4, False)])
def test_no_slow_search_delays_the_pulse_of_a_deploy(seconds, searches):
    """Which tells of a takeback."""
    under = {**viewed.PULSE, "underway": {"action": "deploy", "tag": "v2", "who": "", "seconds": 1}}

    def pulse(message):
        begun = asyncio.get_running_loop().time() > 60
        return [line({"id": message["id"], "ok": under if begun else viewed.PULSE})]

    def errors(message):
        times.append(asyncio.get_running_loop().time())
        asyncio.get_running_loop().selector.now += seconds

    times, odd = [], {"pulse": pulse, "errors": errors}
    watched(lambda name, asked: Agent(answers(), odd, asked) if "web1" in name else None, 400)
    assert bool([at for at in times if at > 70]) == searches


def test_a_silent_host_is_silent_since_its_last_answer():
    """However often it fails since."""

    def agent(name, asked):
        away = "web1" in name and asyncio.get_running_loop().time() > 60
        return None if away else Agent(answers(), {"pulse": pulse}, asked)

    def pulse(message):
        return [b""] if asyncio.get_running_loop().time() > 60 else None

    collector, _, _ = watched(agent, 400)
    web1 = collector.watched["web1"]
    assert web1.problem.startswith("cannot be reached") and 50 < web1.since <= 60


def test_a_host_that_never_answered_is_silent_since_the_begin():
    collector, _, _ = watched(lambda name, asked: None if "web1" in name else Agent(answers(), asked=asked), 100)
    assert collector.watched["web1"].since == 0


def test_since_when_a_problem_is_there_is_noted_though_nobody_looks():
    def facts(message):
        ill = asyncio.get_running_loop().time() > 60
        return [line({"id": message["id"], "ok": {**answers()["facts"], "strangers": ["elsewhere"] if ill else []}})]

    collector, _, _ = watched(lambda name, asked: Agent(answers(), {"facts": facts}, asked), 400)
    [since] = collector.watched["web1"].begins.values()
    assert 60 < since < 120


def test_visitors_are_counted_anew_over_a_new_connection():
    """The first look over each connection begins at the end of the log, and goes back from there: what was counted
    before comes again."""
    place = {"inode": 1, "offset": 3000}
    bucket = {"at": 5.0, "statuses": {"2": 1}, "times": {}}

    def traffic(message):
        return [line({"id": message["id"], "ok": {"buckets": [bucket], "place": None}})]

    def pulse(message):
        if 30 < asyncio.get_running_loop().time() < 40:
            return [b""]  # the connection ends
        traffic = {"buckets": [], "place": place}
        return [line({"id": message["id"], "ok": {**viewed.PULSE, "traffic": traffic}})]

    collector, _, pipes = watched(
        lambda name, asked: Agent(answers(), {"pulse": pulse, "traffic": traffic}, asked), 100
    )
    assert len(pipes) > 2 and collector.watched["web1"].buckets == {5.0: bucket}
    assert collector.watched["web1"].complete


def test_a_slow_search_for_errors_is_rare():
    def errors(message):
        asyncio.get_running_loop().selector.now += 4
        return [line({"id": message["id"], "ok": {"groups": [], "seen_before": [], "since": None}})]

    _, asked, _ = watched(
        lambda name, asked: Agent(answers(), {"errors": errors}, asked) if "web1" in name else None, 390
    )
    assert asked.count("errors") == 2 and asked.count("pulse") > 60


def test_a_host_that_comes_back_is_seen_again():
    def agent(name, asked):
        away = "web1" in name and asyncio.get_running_loop().time() < 60
        return None if away else Agent(answers(), asked=asked)

    collector, _, _ = watched(agent, 30)
    assert collector.watched["web1"].problem.startswith("cannot be reached")
    collector, asked, _ = watched(agent, 90)
    assert collector.watched["web1"].problem == "" and asked.count("pulse") > 20


def test_older_logs_fill_in_a_little_at_a_time():
    """From the end of the log that the first look has seen, back for a day."""
    place, asked_for = {"inode": 1, "offset": 3000}, []

    def traffic(message):
        asked_for.append(message["args"]["place"]["offset"])
        left = asked_for[-1] - 1000
        bucket = {"at": float(left), "statuses": {"2": 1}, "times": {}}
        return [
            line(
                {"id": message["id"], "ok": {"buckets": [bucket], "place": {**place, "offset": left} if left else None}}
            )
        ]

    pulse = {**viewed.PULSE, "traffic": {"buckets": [], "place": place}}
    collector, _, _ = watched(lambda name, asked: Agent(answers(pulse=pulse), {"traffic": traffic}, asked), 20)
    assert asked_for[::2] == [3000, 2000, 1000] and collector.watched["front"].complete
    assert [*collector.watched["front"].buckets] == [2000, 1000, 0]


def test_buckets_of_a_day_are_kept():
    each, old, new = (
        viewed.watched()["work"],
        {"at": NOW - 90_000, "statuses": {}, "times": {}},
        {"at": NOW, "statuses": {"2": 1}, "times": {"5": 1}},
    )
    each.add([old, new], NOW)
    each.add([new], NOW)
    assert each.buckets == {NOW: {"at": NOW, "statuses": {"2": 2}, "times": {"5": 2}}}


def test_a_clock_that_is_set_back_stops_no_question():
    """All is asked again at once, and not when the old time has come again."""

    def clock():
        at = asyncio.get_running_loop().time() + 7200
        return at if at < 7260 else at - 3600

    _, asked, _ = watched(lambda name, asked: Agent(answers(), asked=asked), 121, clock=clock)
    assert [asked.count(name) for name in ("pulse", "facts", "errors")] == [50, 4, 5]
