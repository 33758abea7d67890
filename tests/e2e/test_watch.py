"""`watch` over real ssh: a host that is switched off and one whose nginx has gone; both are back."""

import json
import shlex
import signal

import pytest

from e2e.scenarios import provisioned
from proc import wait_until

pytestmark = pytest.mark.extra


def test_hosts_that_go_and_come_back(fleet, tmp_path):
    """One alert names both, and one says when it is over. TERM ends it well; --once has the same to say."""
    shop, alerts, hook = provisioned(fleet, tmp_path), tmp_path / "alerts", shlex.quote(str(tmp_path / "alerts"))
    web1, web2 = fleet.hosts["web1"], fleet.hosts["web2"]
    shop.settings |= {"watch.ttl": 20, "watch.hosts_up": 0.5, "hooks.alert": f"cat >>{hook}; echo >>{hook}"}
    once = shop.deploy("watch", "--once")
    assert once.returncode == 0 and "web2: up" in once.stdout, once.stdout + once.stderr

    def told():
        lines = alerts.read_text().splitlines() if alerts.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("}")]
        return [(alert["rule"], alert["state"], alert["hosts"]) for alert in found]
    with shop.rolling("watch") as watching:
        try:
            web2.power_cut()
            web1.run("systemctl stop nginx")
            wait_until(lambda: told() == [("hosts_up", "broken", ["web1", "web2"])], 120, told)
            once = shop.deploy("watch", "--once")
        finally:
            web2.power_on()
            web1.run("systemctl start nginx")
        wait_until(lambda: told()[1:] == [("hosts_up", "over", [])], 300, told)
        watching.process.send_signal(signal.SIGTERM)
        done = watching.finish(60)
    assert (done.code, done.stderr) == (0, "")
    assert once.returncode == 1 and "1 of 3 hosts up, the limit is 50 %: web1, web2" in once.stdout, once.stdout
    assert "web1: visitors cannot be watched: nginx gives no answer" in once.stdout, once.stdout
