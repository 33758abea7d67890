"""The times that `restore` and `dump` take and tell."""

import re
import time

import pytest

from slipway.deploy import moments
from slipway.deploy.backup.shell import told
from slipway.deploy.commands import restore
from slipway.deploy.errors import Refused

NOW = 1_796_000_000.0  # 2026-11-30 01:53:20 +0100


@pytest.fixture(autouse=True)
def berlin(monkeypatch):
    """This machine is in Berlin, at NOW."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    monkeypatch.setattr(time, "time", lambda: NOW)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-24 02:20", 1_795_483_200),
        ("2026-11-24 02:20:05", 1_795_483_205),
        ("2026-11-24 02:20:05.25", 1_795_483_205.25),
        ("2026-07-01 02:20", 1_782_865_200),
        ("2026-11-24 02:20 +0000", 1_795_486_800),
        ("2026-11-24 02:20 -0730", 1_795_513_800),
        ("2026-11-24T02:20:05+01:00", 1_795_483_205),
        ("2026-11-24 01:20Z", 1_795_483_200),
        ("2026-11-24 01:20 UTC", 1_795_483_200),
        ("2026-11-24 02:20 America/New_York", 1_795_504_800),
        ("2026-03-29 02:30 America/New_York", 1_774_765_800),  # Berlin's clocks skip it
    ],
)
def test_a_time_is_of_this_machine_s_zone_unless_it_names_one(text, seconds):
    assert moments.parse(text) == seconds
    assert restore.parse_moment(text) == f"@{float(seconds)}"


@pytest.mark.parametrize("at", [1_792_888_200, 1_792_891_800, 1_795_483_200, 1_782_865_200])
def test_a_time_that_is_told_can_be_given_back(at):
    """Also in the hour that a clock has twice."""
    assert moments.parse(told(at + 0.9)) == at


def test_the_hour_that_a_clock_has_twice_is_asked_about():
    """Both readings are told as they can be given."""
    for text in ("2026-10-25 02:30", "2026-10-25 02:30 Europe/Berlin"):
        with pytest.raises(Refused, match=r"show 2026-10-25 02:30 in .* twice") as refused:
            moments.parse(text)
        assert re.findall('--at "(.*?)"', str(refused.value)) == [
            "2026-10-25 02:30:00 +0200",
            "2026-10-25 02:30:00 +0100",
        ]
    assert moments.parse("2026-10-25 02:30 +0200") + 3600 == moments.parse("2026-10-25 02:30 +0100") == 1_792_891_800


def test_a_time_that_clocks_skip_is_refused():
    with pytest.raises(Refused, match="clocks skip 2026-03-29 02:30 in the zone of this machine: give an offset"):
        moments.parse("2026-03-29 02:30")


def test_a_future_time_is_refused():
    assert moments.parse("2026-11-30 00:53:20 +0000") == NOW
    with pytest.raises(Refused, match=r"2026-11-30 01:53:21 \+0100 is still to come: it is 2026-11-30 01:53:20 \+0100"):
        moments.parse("2026-11-30 01:53:21")


@pytest.mark.parametrize("text", ["latest", "build-42", "before:1.2", "before:20261124", "20261124", "1795483200"])
def test_the_tag_of_a_release_is_no_time(text):
    """Also one of digits alone."""
    assert restore.parse_moment(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "last week", "before:", "before:2026-11-24 02:20", "14:05", "-1h", "24.11.2026 02:20", "2026-11-24 2:20"),
        *("2026-02-30 02:20", "2026-11-24 24:20", "2026-11-24 02:20 CET", "2026-11-24 02:20 +2500"),
        *("2026-11-24 02:20 Europe/Nowhere", "2026-11-24 02:20 Europe/../../etc/passwd", "0001-01-01 00:00"),
        *("9999-12-31 23:59", "2026-11-24 02:20 UTC+1", "2026-11-24 02:20\n"),
    ],
)
def test_what_is_neither_a_time_nor_a_release(text):
    with pytest.raises(Refused, match="--at"):
        restore.parse_moment(text)


def test_files_and_dumps_come_back_by_a_time_alone():
    assert moments.parse_latest("latest") == "latest"
    assert float(moments.parse_latest("2026-11-24 02:20")) == 1_795_483_200
    with pytest.raises(Refused, match="--at: 'build-42' is no time"):
        moments.parse_latest("build-42")
