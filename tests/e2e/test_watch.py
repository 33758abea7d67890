"""`watch` over real ssh: a host that is switched off and is back, one whose nginx has gone."""

import json
import shlex
import signal

from e2e.scenarios import provisioned
from proc import wait_until

TTL = 9


def test_hosts_that_go_and_come_back(fleet, tmp_path):
    """One alert names each, and one says when it is over; the others are heard meanwhile. TERM ends it well."""
    shop, alerts, hook = provisioned(fleet, tmp_path), tmp_path / "alerts", shlex.quote(str(tmp_path / "alerts"))
    web1, web2 = fleet.hosts["web1"], fleet.hosts["web2"]
    shop.settings |= {"watch.ttl": TTL, "hooks.alert": f"cat >>{hook}; echo >>{hook}"}

    def told():
        lines = alerts.read_text().splitlines() if alerts.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("}")]
        return [(alert["rule"], alert["state"], alert["hosts"]) for alert in found]
    one = [("hosts_up", "broken", ["web2"]), ("hosts_up", "over", [])]
    two = [("hosts_up", "broken", ["web1"]), ("hosts_up", "over", [])]
    with shop.rolling("watch") as watching:
        up = set()
        while up != set(shop.hosts):
            event = json.loads(watching.process.stdout.readline())
            up |= {event["host"]} if event["event"] == "host" and event["text"] == "up" else set()
        try:
            web2.power_cut()
            wait_until(lambda: told() == one[:1], 60, told)
            once = shop.deploy("watch", "--once")
        finally:
            web2.power_on()
        wait_until(lambda: told() == one, 120, told)
        web1.run("systemctl stop nginx")
        wait_until(lambda: told() == one + two[:1], 60, told)
        web1.run("systemctl start nginx")
        wait_until(lambda: told() == one + two, 120, told)
        watching.process.send_signal(signal.SIGTERM)
        done = watching.finish(20)
    assert (done.code, done.stderr) == (0, "")
    assert once.returncode == 1 and "hosts up, the limit is 80 %: web2" in once.stdout, once.stdout + once.stderr
    once = shop.deploy("watch", "--once")
    assert once.returncode == 0 and "web2: up" in once.stdout, once.stdout + once.stderr
