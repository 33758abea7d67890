"""samlare between endpoints and Debian's carbon: whisper-fetch must read what the endpoints showed."""

import time
from itertools import pairwise

from conftest import endpoint
from proc import wait_until


def test_values(carbon, shown, samlare):
    """Numbers arrive under their names; with a token and without one. Characters that Graphite refuses become `_`."""
    samlare.write(
        carbon.port,
        endpoint(shown.url(), "shop.web 1", FailureMetric='"shop/failed"'),
        endpoint(shown.url(), "shop.web2", Token='"abc"'),
    )
    with carbon.up(), samlare.up():
        wait_until(lambda: 3 in carbon.values("shop.web_1.tasks").values())
        shown.text = '{"tasks": 4}'
        wait_until(lambda: 4 in carbon.values("shop.web2.tasks").values())
        assert set(carbon.values("shop_failed").values()) == {0}
    assert {headers["Authorization"] for headers in shown.asked} == {"Bearer abc", None}


def test_failures(carbon, shown, samlare):
    """If an endpoint hangs, never ends or is missing, the other endpoints keep their pace."""
    bad = {
        "hung": shown.url("/hung"),
        "endless": shown.url("/endless"),
        "none": "http://127.0.0.1:1/",
        "text": shown.url("/debug/vars/nosuch"),
    }
    samlare.write(
        carbon.port,
        endpoint(shown.url(), "shop.web1"),
        *(endpoint(url, "bad", FailureMetric=f'"failed.{name}"') for name, url in bad.items()),
        endpoint(shown.url("/hung"), "again"),
        endpoint(shown.url("/hung"), "and.again"),
        timeout=900,
    )
    with carbon.up(), samlare.up():
        wait_until(lambda: all(1 in carbon.values(f"failed.{name}").values() for name in bad))
        wait_until(lambda: len(carbon.values("shop.web1.tasks")) >= 6)
        # A busy machine may delay the good endpoint, too, but not each time.
        said = [line for line in samlare.process.output().splitlines() if not line.startswith("shop.web1: ")]
    assert min(after - before for before, after in pairwise(sorted(carbon.values("shop.web1.tasks")))) == 1
    for told, times in (("no answer in time", 3), ("sends more than", 1), ("Cannot connect", 1), ("answers 404", 1)):
        assert sum(told in line for line in said) == times, said


def test_metrics_that_nobody_expects(carbon, shown, samlare):
    """samlare survives a number too large, a name too long, and endless nesting."""
    # On a busy machine a look may last longer than the usual timeout.
    samlare.write(carbon.port, endpoint(shown.url(), "shop.web1"), interval=500, timeout=60_000)
    shown.text = f'{{"huge": 1{"0" * 400}, "{"n" * 10_000}": [1, 1], "tasks": 3}}'
    with carbon.up(), samlare.up():
        wait_until(lambda: 3 in carbon.values("shop.web1.tasks").values())
        shown.text = "[" * 100_000 + "]" * 100_000
        samlare.until(lambda counters: counters["failures"])
        shown.text = '{"tasks": 4}'
        wait_until(lambda: 4 in carbon.values("shop.web1.tasks").values())
        assert samlare.process.output().count("shop.web1: ") == 2


def test_carbon_restarted(carbon, shown, samlare):
    """No second with a look is missing: samlare sends the lines buffered during carbon's outage, and resends the lines
    that a killed carbon had in memory."""
    samlare.write(carbon.port, endpoint(shown.url(), "shop.web1"), interval=200)
    with samlare.up():
        first = int(time.time())
        for _ in range(2):
            with carbon.up() as process:
                before = samlare.counters()["sent"]
                samlare.until(lambda counters: counters["sent"] > before + 10)
                process.kill()
            asked = len(shown.asked)
            wait_until(lambda: len(shown.asked) > asked + 10)
        last = int(time.time())
        looked = {second for second, count in shown.seconds.items() if count > 1 and second <= last}
        with carbon.up():
            wait_until(lambda: looked <= set(carbon.values("shop.web1.tasks")))
        counters = samlare.counters()
    assert (counters["connections"], counters["dropped"]) == (3, 0) and last - first > 5


def test_carbon_ended_between_two_looks(carbon, shown, samlare):
    """samlare notices at once, while it can still send the last lines again."""
    samlare.write(carbon.port, endpoint(shown.url(), "shop.web1"), interval=600_000)
    with samlare.up():
        with carbon.up() as process:
            samlare.until(lambda counters: counters["sent"] == 1)
            process.kill()
        with carbon.up():
            wait_until(lambda: carbon.values("shop.web1.tasks"))
        assert len(shown.asked) == 1


def test_full(carbon, shown, samlare):
    """Beyond the limit the oldest lines are dropped and counted; the newest arrive."""
    samlare.write(carbon.port, endpoint(shown.url(), "shop.web1"), interval=100, more="Buffer = 5")
    with samlare.up():
        samlare.until(lambda counters: counters["waiting"] == 5)
        shown.text = '{"tasks": 9}'
        dropped = samlare.counters()["dropped"]
        samlare.until(lambda counters: counters["dropped"] > dropped + 6)
        with carbon.up():
            wait_until(lambda: set(carbon.values("shop.web1.tasks").values()) == {9})


def test_end(carbon, shown, samlare):
    """After TERM samlare sends its last values and exits with 0; if carbon is away, it exits at once."""
    samlare.write(carbon.port, endpoint(shown.url(), "shop.web1"), interval=600_000)
    with carbon.up(), samlare.up():
        samlare.until(lambda counters: counters["looks"] == 1)
        samlare.process.terminate()
        assert samlare.process.wait(30) == 0
        wait_until(lambda: 3 in carbon.values("shop.web1.tasks").values())
    with samlare.up():
        samlare.until(lambda counters: counters["looks"] == 1)
        samlare.process.terminate()
        assert samlare.process.wait(30) == 0
