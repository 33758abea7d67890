"""`watch` over real ssh: a host that is switched off, and is back."""

import json
import shlex
import signal

import pytest

from e2e.scenarios import provisioned
from proc import wait_until

QUICK = {"watch.every": 2, "watch.ttl": 6, "watch.over": 6}


@pytest.fixture
def shop(fleet, tmp_path):
    """The app on three hosts; `alerts` is the file to which the hook adds each alert."""
    shop = provisioned(fleet, tmp_path)
    shop.alerts = tmp_path / "alerts"
    hook = shlex.quote(str(shop.alerts))
    shop.settings |= {**QUICK, "hooks.alert": f"cat >>{hook}; echo >>{hook}"}
    return shop


def told(shop):
    """(rule, state, hosts) of each alert."""
    lines = shop.alerts.read_text().splitlines() if shop.alerts.exists() else []
    alerts = [json.loads(line) for line in lines if line.endswith("}")]
    return [(alert["rule"], alert["state"], alert["hosts"]) for alert in alerts]


def test_a_host_that_is_switched_off(shop):
    """One alert names it, and one says when it is over; the others are heard meanwhile. TERM ends it well."""
    web2 = shop.fleet.hosts["web2"]
    with shop.rolling("watch") as watching:
        try:
            looks(watching, lambda event: event["rules"]["hosts_up"]["value"] == 1)
            web2.power_cut()
            wait_until(lambda: told(shop), 60, "an alert")
            seen = looks(watching, lambda event: event["rules"]["hosts_up"]["alert"])
            assert all(seen["hosts"][name]["seen"] < 6 for name in ("web1", "work1")), seen
            once = shop.deploy("watch", "--once")
        finally:
            web2.power_on()
        wait_until(lambda: len(told(shop)) > 1, 60, "it is over")
        watching.process.send_signal(signal.SIGTERM)
        done = watching.finish(20)
    assert told(shop) == [("hosts_up", "broken", ["web2"]), ("hosts_up", "over", [])]
    assert (done.code, done.stderr) == (0, "")
    assert once.returncode == 1 and "web2" in once.stdout, once.stdout + once.stderr
    once = shop.deploy("watch", "--once")
    assert once.returncode == 0, once.stdout + once.stderr


def looks(watching, wanted):
    """Read its events until a look is as it should be; that look."""
    for line in watching.process.stdout:
        event = json.loads(line)
        if event["event"] == "look" and wanted(event):
            return event
    raise AssertionError(f"it ended: {watching.process.stderr.read()}")
