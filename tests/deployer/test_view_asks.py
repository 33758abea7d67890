"""The questions of `slipway view` to the hosts."""

import asyncio
import contextlib

from deployer import viewed
from deployer.agents import Agent, agents, fine, line
from deployer.clock import run
from deployer.viewed import NOW
from slipway.deploy.view.collect import Collector


def watched(agent, seconds):
    """Watch for so many seconds; return the collector, and what was asked."""
    fleet, asked = viewed.fleet(), []

    async def watch():
        collector = Collector(fleet, fleet.hosts[:2], asyncio.get_running_loop().time)
        task = asyncio.create_task(collector.watch())
        await asyncio.sleep(seconds)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return collector

    with agents(lambda name: agent(name, asked)) as pipes:
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
    """After 15 s, 30 s, and then each minute, as others are."""

    def facts(message):
        return [line({"id": message["id"], "ok": {**answers()["facts"], "strangers": ["elsewhere"]}})]

    def times(odd):
        _, asked, _ = watched(lambda name, asked: Agent(answers(), odd, asked) if "web1" in name else None, 239)
        return asked.count("facts")

    assert times({"facts": facts}) == 6 and times({}) == 4


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
