"""`slipway view` on the fleet: what the page has is what the terminal's commands print."""

import contextlib
import json
import os
import re
import signal
import time
import urllib.request

import pytest

from e2e.fleet.load import Load
from e2e.scenarios import live
from proc import passed, running, signal_group, wait_until
from slipway.deploy.view.figures import CLASSES, SPANS

pytestmark = pytest.mark.extra
STEP = min(SPANS.values())  # seconds of the page's finest points


class View:
    """The command that runs, and the page's state as a browser gets it."""

    def __init__(self, process):
        self.process = process
        wait_until(lambda: "#token=" in process.output(), 30, "the address")
        self.page, _, self.key = re.search(r"http://\S+", process.output())[0].partition("#token=")
        assert "<h1" in self.get("").decode()

    def get(self, path):
        asked = urllib.request.Request(self.page + path, headers={"Authorization": f"Bearer {self.key}"})
        return urllib.request.urlopen(asked, timeout=10).read()

    def state(self):
        return json.loads(self.get("state.json"))

    def host(self, name):
        return next(host for host in self.state()["hosts"] if host["name"] == name)

    def answered(self, since=0):
        """True once each host has told all, after the moment `since`."""
        state = self.state()
        hosts, age = state["hosts"], "facts_age" if state["swarm"] is None else "age"
        ages = [host[age] for host in hosts if host[age] is not None and not host["silent"]]
        return len(ages) == len(hosts) and all(time.time() - age > since for age in ages)


@contextlib.contextmanager
def viewed(shop, *words):
    """Run a command that shows the page; `true` takes the browser's place."""
    words = words or ("view", "--no-open")
    with running(shop.command(*words), cwd=shop.checkout, env={**os.environ, "BROWSER": "true"}) as process:
        view = View(process)
        wait_until(view.answered, 60, "all hosts have answered")
        yield view


def agents(shop):
    """Return how many agents run on the hosts."""
    return sum(
        int(host.ssh("pgrep -fc 'run/shop/[a]gent|[b]inascii'").stdout or 0) for host in shop.machines().values()
    )


def test_the_page_shows_what_commands_print(shop):
    new, newer = shop.image("view-1"), shop.image("view-2")
    with viewed(shop) as view:
        shows_what_status_shows(shop, view)
        with viewed(shop) as other:
            counts_each_visitor(shop, [view, other])
        shows_a_deploy_of_somebody_else(shop, view, new)
        shows_a_takeback(shop, view)
        shows_maintenance(shop, view)
        shows_its_own_deploy(shop, newer)
        a_host_is_away(shop, view)
        the_laptop_sleeps(shop, view)
        assert agents(shop) >= len(shop.hosts)
        view.process.send_signal(signal.SIGINT)
        assert view.process.wait(20) == 0
    wait_until(lambda: agents(shop) == 0, 30, "nothing is left on the hosts")


def shows_what_status_shows(shop, view):
    status = json.loads(passed(shop.deploy("status", "--json")).stdout)["hosts"]
    for name, facts in status.items():
        host = view.host(name)
        assert host["problems"] == [] and host["silent"] == ""
        roles = {process["role"]: process for process in host["processes"]}
        assert set(shop.hosts[name]["roles"]) <= roles.keys()
        assert all(process["release"] == facts["tag"]["tag"] for role, process in roles.items() if role != "old")


def counts_each_visitor(shop, views):
    """Those of the balancer, which sees all. Each is in two logs. Two who look at once see the same."""
    front = next(name for name, host in shop.hosts.items() if host.get("balancer"))
    began = time.time() // STEP * STEP  # other tests' visitors came before, and are forgotten meanwhile
    with Load(shop.fleet.hosts[front].url, host="shop.example", rate=60, seconds=12) as load:
        load.finish()
    sent = len(load.result.records)
    assert sent > 500
    for view in views:
        wait_until(lambda view=view: answers(view, began) >= sent, 30, f"{sent} visitors are counted")
        assert answers(view, began) == sent and view.state()["visitors"]["hosts"] == [front]


def answers(view, since):
    """Return how many answers the page's finest points have since a time."""
    points = view.state()["visitors"]["spans"][0]["points"]
    return sum(point[digit] for point in points for digit in CLASSES if point["at"] >= since)


def shows_a_deploy_of_somebody_else(shop, view, new):
    seen = []
    with shop.rolling("deploy", new) as rolling:
        while rolling.process.poll() is None:
            if underway := view.state()["underway"]:
                seen.append(underway)
            time.sleep(0.5)
        assert rolling.finish().code == 0
    assert {underway["tag"] for underway in seen} == {new} and seen[-1]["seconds"] > seen[0]["seconds"]
    assert {"pull", "start", "ready", "flip"} <= {step for underway in seen for step in underway["steps"]}
    assert {name for underway in seen for name in underway["hosts"]} == {*shop.hosts}
    wait_until(lambda: view.state()["releases"][0]["tag"] == new, 30, "the release is told")
    wait_until(lambda: view.state()["underway"] is None, 30, "the deploy has ended everywhere")
    assert view.state()["marks"][-1]["text"] == f"deploy {new}"
    wait_until(lambda: view.host("web1")["processes"][0]["release"] == new == live(shop), 30, "the host shows it")


def shows_a_takeback(shop, view):
    """As one, with its cause, and then among the releases. The release that came was never called old."""
    tag, seen = shop.image("view-3", "crash"), []
    with shop.rolling("deploy", tag) as rolling:
        while rolling.process.poll() is None:
            seen.append(view.state())
            time.sleep(0.5)
        assert rolling.finish().code == 1
    causes = [state["underway"]["takeback"] for state in seen if state["underway"]]
    assert causes and any(causes) and causes[0] is None
    named = {
        each["role"]
        for state in seen
        for host in state["hosts"]
        for each in host["processes"]
        if each["release"] == tag
    }
    assert named <= {"new"}
    wait_until(lambda: view.state()["releases"][0]["tag"] == tag, 30, "the release is told")
    assert view.state()["releases"][0]["outcome"] == "taken back"


def shows_maintenance(shop, view):
    passed(shop.deploy("maintenance", "on"))
    wait_until(lambda: "maintenance page" in [mark["text"] for mark in view.state()["marks"]], 30, "a mark")
    passed(shop.deploy("maintenance", "off"))


def shows_its_own_deploy(shop, new):
    """Its steps, and how it ended. Then the command ends."""
    with viewed(shop, "deploy", new, "--view") as view:
        states = [view.state()]
        while not states[-1]["own"]["result"]:
            time.sleep(0.5)
            states.append(view.state())
        assert f"{new} is live on" in states[-1]["own"]["result"] and states[-1]["releases"][0]["tag"] == new
        assert any("pull" in (state["underway"] or {"steps": []})["steps"] for state in states)
        assert view.process.wait(20) == 0 and f"{new} is live on" in view.process.output()


def a_host_is_away(shop, view):
    host = shop.fleet.hosts["web2"]
    host.power_cut()
    wait_until(lambda: view.host("web2")["silent"], 90, "it is silent")
    assert view.host("web1")["silent"] == "" and view.host("web2")["age"] > 0
    host.power_on()
    wait_until(lambda: not view.host("web2")["silent"], 120, "it is back")


def the_laptop_sleeps(shop, view):
    """The command stands still; meanwhile the servers give its connections up. Then it reconnects by itself."""
    signal_group(view.process, signal.SIGSTOP)
    for host in shop.machines().values():
        host.console("pkill -KILL -u root -f '^sshd: root@notty'")
    wait_until(lambda: agents(shop) == 0, 30, "no agent is left")
    signal_group(view.process, signal.SIGCONT)
    woken = time.time()
    wait_until(lambda: view.answered(woken), 60, "all hosts have answered since")
