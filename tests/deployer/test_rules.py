"""The rules of docs/monitoring.md, by a clock of the test's own: what is told of what befalls hosts, and how often."""

import math
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.deploy import config
from slipway.deploy.config import schema
from slipway.deploy.monitor.alerts import State, step
from slipway.deploy.monitor.measures import Memory, Reach, Reading, Sample, growth, look, memory_of
from slipway.deploy.monitor.rules import Rule, rules
from slipway.deploy.monitor.simulated import watch

EVERY, TTL, OVER = 10, 30, 300
HOUR = 3600


def fleet_of(hosts, **keys):
    """A fleet of that many web hosts."""
    return config.build({"app": "shop", "image": "x", "media": "bucket", "watch": keys,
                         "hosts": {f"web{number}": {"roles": ["web"]} for number in range(1, hosts + 1)}}, {}, "test")


def its(fleet):
    return rules(fleet, fleet.app_hosts)


def told(fleet, says, until=HOUR):
    """[(rule, broken or over, when)] of a fleet of which `says(host, number, at)` is each host's sample every look."""
    alerts = watch(fleet, fleet.app_hosts, lambda host, at: says(host, int(host.removeprefix("web")), at), until)
    return [(alert.rule.name, alert.state, alert.at) for alert in alerts]


def well(host, at, errors=0.0, rate=1):
    """A host that is up and answers once a second, with a share of errors."""
    return Sample(host, at, "", {"2xx": at * rate * (1 - errors), "5xx": at * rate * errors}, {}, 9e9)


def dark(number, gone, back=math.inf):
    """The first hosts, so many, say nothing between these times."""
    return lambda host, n, at: None if n <= number and gone <= at < back else well(host, at)


def test_all_is_well():
    """Nothing is told of what is well."""
    assert told(fleet_of(5), dark(0, 0)) == []


@pytest.mark.parametrize("hosts, gone, alerts", [(5, 1, 0), (5, 2, 1), (2, 1, 1), (10, 2, 0), (10, 3, 1), (1, 1, 1)])
def test_hosts_that_go_dark(hosts, gone, alerts):
    """One of five may, one of two may not: one alert when it is told, and one when it is over, minutes after all are
    back."""
    said = told(fleet_of(hosts), dark(gone, 600, 1200))
    assert [(rule, state) for rule, state, _ in said] == [("hosts_up", "broken"), ("hosts_up", "over")][:2 * alerts]
    if alerts:
        assert 600 + TTL < said[0][2] <= 600 + TTL + OVER + TTL and 1200 + OVER <= said[1][2] <= 1200 + 2 * OVER + TTL


def test_all_hosts_killed():
    """It is told soon, by one rule alone: of the others nobody can know."""
    assert [(rule, state) for rule, state, _ in told(fleet_of(3), dark(3, 600))] == [("hosts_up", "broken")]
    at = told(fleet_of(3), dark(3, 600))[0][2]
    assert 600 + TTL + OVER * 0.2 <= at <= 600 + TTL + OVER * 0.2 + TTL + 3 * EVERY


def test_what_answers_that_it_is_ill_is_not_up():
    """A host whose processes have failed is as bad as a silent one."""
    ill = {1: Sample("web1", 0, "web is failed")}
    said = told(fleet_of(2), lambda host, n, at: Sample(host, at, ill[1].problem) if n == 1 and at > 600
                else well(host, at))
    assert [(rule, state) for rule, state, _ in said] == [("hosts_up", "broken")]


@pytest.mark.parametrize("share, alerts", [(0, 0), (0.04, 0), (0.06, 1), (0.5, 1)])
def test_errors(share, alerts):
    """4 % are none, 6 % are: one alert, and one when it is over."""
    def says(host, number, at):
        bad = max(0, min(at, 1800) - 900) * share
        return Sample(host, at, "", {"2xx": at - bad, "5xx": bad}, {}, 9e9)
    said = told(fleet_of(2), says)
    assert [(rule, state) for rule, state, _ in said] == [("errors", "broken"), ("errors", "over")][:2 * alerts]
    if alerts:
        assert 900 < said[0][2] <= 900 + OVER + TTL and 1800 + OVER <= said[1][2] <= 1800 + 2 * OVER + TTL


def test_few_errors_of_few_answers():
    """Of fewer than 20 answers no share is told."""
    def says(host, number, at, seconds):
        return Sample(host, at, "", {"2xx": 0, "5xx": at // seconds}, {}, 9e9)
    assert told(fleet_of(1), lambda host, n, at: says(host, n, at, OVER / 15)) == []
    assert told(fleet_of(1), lambda host, n, at: says(host, n, at, OVER / 30)) != []


def test_a_release_that_starts_counts_anew():
    """Counters that begin at 0 again are neither errors nor answers of before."""
    assert told(fleet_of(1), lambda host, n, at: Sample(host, at, "", well(host, at % 700, 0.03).answers)) == []


@pytest.mark.parametrize("before, now, grown", [
    ({"2xx": 100, "5xx": 3}, {"2xx": 150, "5xx": 4}, {"2xx": 50, "5xx": 1}),
    ({"2xx": 100, "5xx": 3}, {"2xx": 90, "5xx": 5}, {"2xx": 90, "5xx": 5}),
    ({"2xx": 10, "5xx": 100}, {"2xx": 500, "5xx": 0}, {"2xx": 500, "5xx": 0}), ({}, {"2xx": 5}, {"2xx": 5}),
    ({"2xx": 10}, {}, {})])
def test_counters_of_one_process_begin_anew_together(before, now, grown):
    """What one of them tells holds for all."""
    assert growth(before, now) == grown


@pytest.mark.parametrize("warm, alerts", [({"2xx": 50_000, "5xx": 9_000}, []), ({"2xx": 10**6, "5xx": 0}, ["errors"])])
def test_a_rollback_to_the_warm_slot(warm, alerts):
    """What that has counted in its life is neither errors nor well answers: those of now count."""
    def says(host, number, at):
        since = at - 1200
        if since < 0:
            return Sample(host, at, "", {"2xx": at, "5xx": 0}, {}, 9e9, "b")
        bad = since / 2 if alerts else 0
        return Sample(host, at, "", {"2xx": warm["2xx"] + since - bad, "5xx": warm["5xx"] + bad}, {}, 9e9, "a")
    said = told(fleet_of(2), says, 1500)
    assert [rule for rule, *_ in said] == alerts


@pytest.mark.parametrize("boot, alerts", [("Monday", []), ("Tuesday", ["errors"])])
def test_a_slot_that_is_started_again(boot, alerts):
    """All that it tells then was answered since, also where that is more than it told before: 105 errors of 2005, not 5
    of 905."""
    def says(host, number, at):
        before = Sample(host, at, "", {"2xx": 1000, "5xx": 100}, {}, 9e9, "a", "Monday")
        return before if at < 600 else Sample(host, at, "", {"2xx": 1900, "5xx": 105}, {}, 9e9, "a", boot)
    assert [rule for rule, *_ in told(fleet_of(1), says, 900)] == alerts


@pytest.mark.parametrize("down, up", [(120, 60), (90, 30), (200, 90)])
def test_flapping_is_one_alert(down, up):
    """A host of two that comes and goes for half an hour: one alert, and one when it is over."""
    def says(host, number, at):
        return None if number == 1 and 600 <= at < 2400 and (at - 600) % (down + up) < down else well(host, at)
    said = told(fleet_of(2), says, 2 * HOUR)
    assert [(rule, state) for rule, state, _ in said] == [("hosts_up", "broken"), ("hosts_up", "over")]
    assert said[1][2] > 2400


def test_errors_that_come_and_go_are_one_alert():
    """Half a minute of errors every four minutes."""
    def says(host, number, at):
        whole, part = divmod(at, 240)
        bad = whole * 15 + min(part, 30) / 2
        return Sample(host, at, "", {"2xx": at - bad, "5xx": bad}, {}, 9e9)
    assert [(rule, state) for rule, state, _ in told(fleet_of(1), says)] == [("errors", "broken")]


def test_figures_that_nobody_tells():
    """A web that is ready, and no figures: nobody would know of errors. One that is dark is not blamed for that."""
    said = told(fleet_of(2), lambda host, n, at: Sample(host, at, "", None if at > 600 else {"2xx": at}, {}, 9e9))
    assert [(rule, state) for rule, state, _ in said] == [("figures", "broken")]


def test_silent_parts():
    """A beat whose heartbeat grows old, or that nobody can tell of, is silent."""
    fleet = config.build({"app": "shop", "image": "x", "hosts": {"web1": {"roles": ["web", "worker", "beat"]}}}, {},
                         "t")

    def says(host, at):
        ages = {"worker": 10.0} | ({"beat": max(30.0, at - 600)} if at < 2000 else {})
        return Sample(host, at, "", {"2xx": at}, ages, 9e9)
    said = [(alert.rule.name, alert.state, alert.at) for alert in watch(fleet, fleet.app_hosts, says, HOUR)]
    assert said == [("beat", "broken", 600 + 150 + TTL)]


def front_of(says, until=HOUR):
    fleet = fleet_of(1, front="https://shop.example/", probes=["http://a:9115", "http://b:9115"])
    alerts = watch(fleet, fleet.app_hosts, lambda host, at: well(host, at), until, says)
    return [(alert.rule.name, alert.state, alert.reading.about) for alert in alerts]


def test_a_place_that_does_not_reach_the_front_page():
    """Three must, and two do: one alert, and one when it is over."""
    assert front_of(lambda place, at: Reach(place, at, "", 1e9)) == []
    said = front_of(lambda place, at: Reach(place, at, "refused" if "b" in place and 600 <= at < 900 else "", 1e9))
    assert said == [("front", "broken", ("http://b:9115",)), ("front", "over", ())]


def test_a_certificate_that_ends():
    """It is told 14 days before."""
    said = front_of(lambda place, at: Reach(place, at, "", 14 * 86_400 + 1800))
    assert [name for name, *_ in said] == ["certificate"]


def test_a_disk_that_fills():
    """It is told, and which host's."""
    fleet, free = fleet_of(2), {"web1": 9e9, "web2": 1e9}
    alerts = watch(fleet, fleet.app_hosts, lambda host, at: Sample(host, at, "", {"2xx": at}, {}, free[host]), HOUR)
    assert [(alert.rule.name, alert.state, alert.reading.about) for alert in alerts] == [("disk", "broken", ("web2",))]
    assert alerts[0].rule.says(alerts[0].reading.value) == "0.9 GB of disk free, the limit is 2 GB"


@pytest.mark.parametrize("web1", [9e9, 1e9], ids=["alone", "beside another"])
@pytest.mark.parametrize("back", [math.inf, 1800])
def test_a_host_that_dies_of_its_disk(web1, back):
    """That is not over until it is back, and well; nor is it where another one's disk was mended meanwhile."""
    def says(host, number, at):
        if number == 2 and 900 <= at < back:
            return None
        free = {1: web1 if at < 1200 else 9e9, 2: 1e9 if at < 900 else 9e9}.get(number, 9e9)
        return Sample(host, at, "", {"2xx": at}, {}, free if at >= 600 else 9e9)
    said = [(rule, state) for rule, state, _ in told(fleet_of(5), says)]
    assert said == [("disk", "broken"), ("disk", "over")][:1 if back == math.inf else 2]


def test_what_nobody_can_tell_is_not_over():
    """Errors, and then too few answers to tell: only the well answers after those end the alert."""
    def says(host, number, at):
        bad = max(0, min(at, 1200) - 600)
        return Sample(host, at, "", {"2xx": min(at, 600) + max(0, at - 2400), "5xx": bad}, {}, 9e9)
    assert [(rule, state) for rule, state, _ in told(fleet_of(1), says, 2400)] == [("errors", "broken")]
    assert [(rule, state) for rule, state, _ in told(fleet_of(1), says)] == [("errors", "broken"), ("errors", "over")]


def test_rules_have_what_they_need(fleet, data):
    """Only a fleet with workers is asked for heartbeats; only one with a front page for that."""
    assert [rule.name for rule in its(fleet)] == ["hosts_up", "errors", "figures", "worker", "beat", "disk"]
    assert [rule.name for rule in its(fleet_of(1))] == ["hosts_up", "errors", "figures", "disk"]
    assert "certificate" not in [rule.name for rule in its(fleet_of(1, front="http://shop.example/", places=1))]


def test_rules_that_are_left_out(data):
    """Each can be, by its name; the figures of an image that has none are no alert then."""
    data["watch"] = {"front": "https://shop.example/", "places": 1}
    full = config.build(data, {}, "test")
    assert sorted(rule.name for rule in its(full)) == sorted(schema.RULES)
    for name in schema.RULES:
        data["watch"]["without"] = [name]
        assert {rule.name for rule in its(config.build(data, {}, "test"))} == {*schema.RULES} - {name}

    def says(host, number, at):
        return Sample(host, at, "", None, {}, 9e9)
    assert [rule for rule, *_ in told(fleet_of(2), says)] == ["figures"]
    assert told(fleet_of(2, without=["figures"]), says) == []


def test_values_in_words(fleet):
    """A limit is told as it was written; a heartbeat that never came has a sentence of its own."""
    assert its(fleet)[3].says(math.inf) == "no heartbeat of worker is known, the limit is 150 s"
    limits = {rule.name: rule.breach for rule in its(fleet_of(5))}
    assert limits["hosts_up"] == "less than 80 % of 5 hosts up over 300 s"
    assert limits["errors"] == "at least 5 % of answers are 5xx over 300 s"
    assert its(fleet_of(5))[0].says(0.7133) == "71.3 % of 5 hosts up over 300 s, the limit is 80 %"


# ---- whatever comes ----

@settings(max_examples=300)
@given(st.lists(st.booleans(), max_size=300), st.integers(0, 60), st.integers(0, 300))
def test_alerts_take_turns(broken, wait, calm):
    """Whatever a rule does: broken and over are told in turns, broken first; neither before its time."""
    state, words, rule = State(), [], Rule("x", 1, "y")
    for number, bad in enumerate(broken):
        state, word = step(state, bad, Reading(0.0), number * EVERY, wait, calm)
        words += [(word, number)] if word else []
    assert [word for word, _ in words] == [("broken", "over")[number % 2] for number in range(len(words))]
    for word, number in words:
        span = -(-(wait if word == "broken" else calm) // EVERY)
        assert number >= span and set(broken[number - span:number + 1]) == {word == "broken"}
    assert rule.broken(None) is False


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 10**6), st.integers(0, 10**6)), max_size=60))
def test_shares_are_shares(said):
    """Whatever hosts say, and however their counters jump, a share is from 0 to 1."""
    fleet = fleet_of(4)
    memory, all_rules = memory_of(fleet, fleet.app_hosts, 0.0), its(fleet)
    for number, (host, fine, good, bad) in enumerate(said):
        memory.hear(Sample(f"web{host + 1}", number * 7.0, "" if fine else "ill", {"2xx": good, "5xx": bad}, {}, 1.0))
        found = look(memory, all_rules, number * 7.0)
        for name in ("hosts_up", "errors"):
            assert found[name].value is None or 0 <= found[name].value <= 1
    assert len(memory.counts.noted) <= OVER / 7 + 1


def test_four_of_five_are_enough_to_the_last_digit():
    """No average of 0.8 is a little less than 0.8."""
    memory = Memory(dict.fromkeys("abcde", True), (), OVER, TTL, 0.0)
    rule = SimpleNamespace(name="hosts_up")
    for number in range(1000):
        for host in "abcd":
            memory.hear(Sample(host, number * 10.0))
        value = look(memory, (rule,), number * 10.0)["hosts_up"].value
        assert value is None or value >= 0.8
