"""A fleet as the collector of `slipway view` has seen it: six hosts, a day of visitors, errors, releases, backups."""

import copy
import math

from deployer.agents import fine
from deployer.conftest import TOML, fleet_of
from deployer.test_backup import NOW as THEN
from deployer.test_backup import TO
from deployer.test_backup import WELL as WELL_THEN
from slipway.deploy.view import state
from slipway.deploy.view.watched import Answer, WatchedHost

NOW = 1_796_126_415.0
HOSTS = {
    "front": {"balancer": True, "internal": "10.0.0.10"},
    "web1": {"roles": ["web"], "internal": "10.0.0.11"},
    "web2": {"roles": ["web"], "internal": "10.0.0.12"},
    "web3": {"roles": ["web"], "internal": "10.0.0.13"},
    "work": {"roles": ["worker", "beat"], "internal": "10.0.0.14"},
    "db": {"roles": ["postgres", "redis"], "internal": "10.0.0.20"},
}
PULSE = {
    "now": NOW - 2,
    "load": 0.42,
    "cpus": 4,
    "memory": {"free": 3_200_000_000, "size": 8_000_000_000},
    "disks": {"/": {"free": 41_000_000_000, "size": 80_000_000_000}},
    "state": "1",
    "underway": None,
    "steps": [],
    "closed": None,
    "traffic": {"buckets": [], "place": None},
}
COUNTED = {**PULSE, "traffic": {"buckets": [], "place": {"inode": 1, "offset": 3000}}}
SERVICE = {"state": "active", "since": "Fri 2026-11-27 20:11:00 UTC", "size": "912 MB", "connections": "18"}
WELL = {
    **WELL_THEN,
    "now": NOW,
    "runs": {
        action: {key: value + NOW - THEN if key in ("at", "until") else value for key, value in run.items()}
        for action, run in WELL_THEN["runs"].items()
    },
}
GROUP = {
    "id": "0badcafe",
    "title": "ValueError",
    "place": "shop/views.py:12 basket",
    "message": "no such item",
    "count": 3,
    "first": NOW - 600,
    "last": NOW - 60,
    "releases": ["build-42"],
    "roles": ["web"],
    "hosts": [],
    "seen_before": False,
    "text": 'Traceback (most recent call last):\n  File "/app/shop/views.py", line 12\nValueError: no such item',
    "latest": [[NOW - 60, "3f2a" * 8, "GET /basket/", "build-42"]],
}


ONE_BUCKET = [{"at": NOW // 10 * 10, "statuses": {"2": 5, "5": 1}, "times": {"23": 6}}]


def fleet():
    data = {**TOML, "hosts": copy.deepcopy(HOSTS)}
    return fleet_of(data, {"backup": TO})


def records():
    by = "by ann from laptop since Mon 2026-11-30 09:00:00 UTC"
    return [
        record("1", "deploy", "build-41", "committed", NOW - 40_000, by),
        record("2", "deploy", "build-42", "committed", NOW - 500, by, settings="PAGE_SIZE"),
        record("3", "deploy", "build-43", "taken back", NOW - 200, by, cause="web2: /readyz answers 503"),
    ]


def record(id, action, tag, outcome, at, by, **more):
    about = {"action": action, "tag": tag, "outcome": outcome, "at": at, "who": f"{action} {tag} {by}"}
    return {"image_id": "sha256:1", "id": id, "seconds": 7.4, **about, **more}


def buckets(per_second=12, slow=1.0):
    """Return a day of visitors, a bucket each ten seconds of the last hour, and each minute before."""
    found = {}
    for ago in [*range(10, 3600, 10), *range(3600, 86_400, 60)]:
        at = NOW // 10 * 10 - ago
        number = round(per_second * (2 + math.sin(ago / 900)) * 5)
        late = slow if ago < 500 else 1
        found[at] = {
            "at": at,
            "statuses": {"2": number, "3": number // 8, "4": number // 20, "5": 2 if ago % 170 == 0 else 0},
            "times": {str(round(23 * late)): number, str(round(180 * late)): number // 40},
        }
    return found


def watched():
    """Return host name → what the host has said. All is well but for web3, which is silent."""
    its_fleet = fleet()
    answers = fine(its_fleet)
    by_host = {host.name: WatchedHost(host, since=NOW - 3600, problem="", complete=True) for host in its_fleet.hosts}
    for name, each in by_host.items():
        say(each, "pulse", COUNTED if each.host.balancer or each.host.has("web") else PULSE)
        if each.host.roles:
            say(each, "facts", {**answers["facts"], "records": records(), "now": NOW})
            say(each, "errors", {"groups": [], "seen_before": [], "since": NOW - 500})
        if each.host in its_fleet.backup_hosts:
            of_files = {**WELL, "runs": {"files": WELL["runs"]["files"]}}
            say(each, "backups", WELL if name == "db" else of_files)
        if each.host.balancer:
            each.buckets = buckets()
        if each.host.has("web"):
            say(each, "celery", {"worker": 3.2, "beat": 12.0, "waiting": {"celery": 4}, "dead": 1})
            each.buckets = buckets(4, slow=2)
        if name == "db":
            kinds = {
                "postgres": {**SERVICE, "version": "17.5"},
                "redis": {**SERVICE, "version": "7.2.4", "size": "12 MB"},
            }
            say(each, "services", {"services": {kind: {**facts, "outdated": False} for kind, facts in kinds.items()}})
    by_host["web1"].answers["errors"].value["groups"] = [copy.deepcopy(GROUP)]
    by_host["web3"].problem, by_host["web3"].since = (
        "cannot be reached: Connection timed out; try ssh by hand",
        NOW - 90,
    )
    return by_host


def say(each, request, value):
    each.answers[request] = Answer(copy.deepcopy(value), NOW - 2)


def shown(by_host):
    """Return what the page shows of these hosts."""
    return state.page(fleet(), by_host, NOW)


def host(by_host, name):
    return next(each for each in shown(by_host)["hosts"] if each["name"] == name)


def texts(by_host, name):
    """Return the problems of a host."""
    return [problem["text"] for problem in host(by_host, name)["problems"]]
