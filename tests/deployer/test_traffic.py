"""Visitors' requests, counted in nginx's log."""

import os
import time

import pytest

from slipway.deploy.agent import traffic
from slipway.deploy.agent.host import Host

NOON = 1_796_126_400  # 2026-12-01 12:00:00 UTC


def line(at, status=200, seconds="0.012", agent="Mozilla/5.0", path="/"):
    when = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(at))
    values = {"time": when, "request_id": "0", "client": "203.0.113.7", "method": "GET", "host": "shop.example"}
    values |= {"path": path, "status": status, "bytes": 5, "seconds": 0.1, "app_seconds": seconds, "app_status": "200"}
    texts = (f'"{name}":"{value}"' if isinstance(value, str) else f'"{name}":{value}' for name, value in values.items())
    return f'{{{",".join(texts)},"user_agent":"{agent}"}}\n'


@pytest.fixture
def host(tmp_path):
    (tmp_path / "var/log/nginx").mkdir(parents=True)
    return Host("shop", str(tmp_path))


def written(host, *lines, name="shop.access.log"):
    path = f"{host.root}/var/log/nginx/{name}"
    with open(path, "a") as file:
        file.write("".join(lines))
    return path


def counted(host, *lines):
    """Return the buckets of these lines."""
    place = traffic.newer(host, None)["place"] or {"inode": 0, "offset": 0}
    written(host, *lines)
    return traffic.newer(host, place)["buckets"]


def test_answers_are_counted_by_ten_seconds(host):
    first, second = counted(host, line(NOON), line(NOON + 9, 404), line(NOON + 10, 502, "0.001, 1.234"))
    assert first == {"at": NOON, "statuses": {"2": 1, "4": 1}, "times": {"12": 2}}
    assert second == {"at": NOON + 10, "statuses": {"5": 1}, "times": {"1200": 1}}


def test_the_time_of_nginx_has_a_zone(host):
    [bucket] = counted(host, line(NOON).replace("T12:", "T14:").replace("+00:00", "+02:00"))
    assert bucket["at"] == NOON


@pytest.mark.parametrize(
    "text",
    [
        line(NOON, agent="slipway-deploy"),
        line(NOON, agent="slipway-deploy 8056f8b525e5ee07"),
        line(NOON, 503).replace('"user_agent"', '"asked_by":"machine","user_agent"'),
        line(NOON, path='/\\"status\\":500,')[:-30] + "\n",
        "no JSON\n",
        '{"time":"' + "x" * 25 + '","status":200,"app_seconds":"","user_agent":""}\n',
    ],
)
def test_what_is_no_visitor_s_answer(host, text):
    assert counted(host, line(NOON), text) == [{"at": NOON, "statuses": {"2": 1}, "times": {"12": 1}}]


def test_a_visitor_cannot_pass_for_a_machine(host):
    marked = line(NOON, path=r"/\"asked_by\":\"machine\",").replace('"user_agent"', '"asked_by":"visitor","user_agent"')
    assert counted(host, marked, line(NOON)) == [{"at": NOON, "statuses": {"2": 2}, "times": {"12": 2}}]


def test_a_visitor_cannot_count_twice(host):
    """nginx writes a backslash before a quote that a visitor has sent."""
    path = r"/\"time\":\"2026-01-01T00:00:00+00:00\",\"status\":500,\"app_seconds\":\"9.999\""
    [bucket] = counted(host, line(NOON, path=path, agent=r"\"status\":503,"))
    assert bucket == {"at": NOON, "statuses": {"2": 1}, "times": {"12": 1}}


def test_answers_without_the_app_have_no_time(host):
    [bucket] = counted(host, line(NOON, 502, ""), line(NOON, 101, "900.000"))
    assert bucket["statuses"] == {"5": 1, "1": 1} and bucket["times"] == {}


def test_a_balancer_s_log_comes_first(host):
    written(host, line(NOON), line(NOON))
    text = line(NOON).replace('"app_seconds"', '"hosts":"10.0.0.1:80","host_seconds"').replace("app_st", "host_st")
    written(host, text, name="shop-balancer.access.log")
    [bucket] = traffic.newer(host, {"inode": 0, "offset": 0})["buckets"]
    assert bucket["statuses"] == {"2": 1}


def test_half_a_line_is_read_once_it_is_whole(host):
    place = {"inode": 0, "offset": 0}
    written(host, line(NOON), line(NOON)[:40])
    answer = traffic.newer(host, place)
    assert answer["buckets"][0]["statuses"] == {"2": 1}
    written(host, line(NOON)[40:])
    assert traffic.newer(host, answer["place"])["buckets"][0]["statuses"] == {"2": 1}


def test_after_a_rotation_the_new_log_is_read(host):
    path = written(host, line(NOON))
    place = traffic.newer(host, None)["place"]
    written(host, line(NOON + 30))
    os.rename(path, path + ".1")
    written(host, line(NOON + 60))
    for at in (NOON + 30, NOON + 60):
        answer = traffic.newer(host, place)
        place = answer["place"]
        assert [bucket["at"] for bucket in answer["buckets"]] == [at]


def test_a_long_log_comes_in_several_answers(host, monkeypatch):
    monkeypatch.setattr(traffic, "MOST", 1000)
    place, numbers = {"inode": 0, "offset": 0}, []
    written(host, *(line(NOON) for _ in range(10)))
    while True:
        answer = traffic.newer(host, place)
        if not answer["buckets"]:
            break
        place = answer["place"]
        numbers.append(answer["buckets"][0]["statuses"]["2"])
    assert sum(numbers) == 10 and len(numbers) > 2


# ---- what was before ----


def all_before(host, since):
    """Return the buckets before the end of the log, and how many looks they took."""
    place, found, looks = traffic.newer(host, None)["place"], [], 0
    while place:
        answer = traffic.older(host, place, since)
        place, found, looks = answer["place"], found + answer["buckets"], looks + 1
    return traffic.merge_buckets(found), looks


@pytest.mark.parametrize("piece", [300, 1000, 1 << 20])
def test_a_day_is_read_backwards_from_two_logs(host, monkeypatch, piece):
    monkeypatch.setattr(traffic, "PIECE", piece)
    written(host, *(line(NOON + at) for at in range(0, 300, 5)), name="shop.access.log.1")
    written(host, *(line(NOON + at) for at in range(300, 600, 5)))
    buckets, _ = all_before(host, NOON + 100)
    assert [bucket["at"] for bucket in buckets] == [*range(NOON + 100, NOON + 600, 10)]
    assert all(bucket["statuses"] == {"2": 2} for bucket in buckets)


def test_a_look_takes_little_of_the_cpu(host, monkeypatch):
    monkeypatch.setattr(traffic, "PIECE", 1000)
    monkeypatch.setattr(traffic, "SLICE", 0)
    written(host, *(line(NOON + at) for at in range(100)))
    place = traffic.newer(host, None)["place"]
    assert traffic.older(host, place, 0) == {"buckets": [], "place": place}


def test_a_line_without_an_end_ends_nothing(host, monkeypatch):
    monkeypatch.setattr(traffic, "PIECE", 100)
    written(host, "x" * 1000)
    assert all_before(host, 0)[0] == []


def test_a_log_that_is_gone(host):
    assert traffic.newer(host, None) == {"buckets": [], "place": None}
    written(host, line(NOON))
    assert traffic.older(host, {"inode": 1, "offset": 5}, 0) == {"buckets": [], "place": None}
