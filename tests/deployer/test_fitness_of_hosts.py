"""Tests of what keeps a deploy or rollback from hosts, and of what status finds amiss."""

from dataclasses import replace

import pytest

from deployer.agents import fine, other_content
from deployer.conftest import fleet_of
from deployer.test_plan import DEPLOY
from slipway.deploy import config
from slipway.deploy.errors import Refused
from slipway.deploy.rollout import drift, preflight
from slipway.deploy.rollout.plan import Target


def slots(tag, **units):
    """Return the facts of slots: a runs this release, and b none."""
    live = {"release": {"tag": tag, "image_id": f"sha256:{tag[1:]}"}, "units": units}
    return {"a": live, "b": {"release": None, "units": {}}}


@pytest.fixture
def facts(fleet):
    """Host → facts of a host that can be deployed to."""
    return {
        host.name: {
            **fine(fleet)["facts"],
            "files": preflight.expected_files(fleet, host),
            "history": [],
            "containers": {},
            "now": 5000,
            "revert": None,
            "alone": {"beat": {"state": "active", "release": None}},
            "slots": slots("v1"),
        }
        for host in fleet.app_hosts
    }


UNFIT = {
    "Docker does not answer: see systemctl status docker": {"docker": {}},
    "Docker is 19.3.1, but 20.10 or newer is needed": {"docker": {"version": "19.3.1", "root": "/d"}},
    "/var/www/shop has 1 MB free, but needs 16 MB": {"free": {"/var/www/shop": 2**20}},
    "/var/log has 1 MB free, but needs 16 MB": {"free": {"/var/log": 2**20}},
    "visitors cannot be watched": {"blind": "visitors cannot be watched"},
    "90 MB of memory are free, but a second release beside the live one needs 95 MB: add memory, lower"
    " WEB_CONCURRENCY or WORKER_CONCURRENCY, or stop another app's old release that still runs there:"
    " systemctl start OTHER-retire": {"memory": 90 * 2**20},
    "APP.env line 3": {"settings": ["APP.env line 3"]},
    "beat runs, but the host does not have the role beat: run slipway provision": {
        "containers": {"shop-beat": ["1", "2"]}
    },
}


def test_sqlite_is_for_one_server(data, fleet, facts):
    for found in facts.values():
        found["sqlite"] = "there is no /var/www/shop/data"
    found = preflight.problems(fleet, fleet.app_hosts, facts, DEPLOY)
    assert found.keys() == facts.keys() and all("its own file: use Postgres" in text for (text,) in found.values())
    one = fleet_of(data, {"hosts": {"work": {"roles": ["web", "worker", "beat"]}}})
    facts["work"]["files"] = preflight.expected_files(one, one.app_hosts[0])
    assert preflight.problems(one, one.app_hosts, facts, DEPLOY) == {"work": ["there is no /var/www/shop/data"]}


@pytest.mark.parametrize("tag, state, warm", [("v0", "active", True), ("v9", "active", False), ("v0", "failed", False)])
def test_a_warm_rollback_needs_no_memory(fleet, facts, tag, state, warm):
    for found in facts.values():
        found.update(memory=0)
        found["slots"]["b"] = {"release": {"tag": tag, "image_id": "sha256:0"}, "units": {"web": {"state": state}}}
    told = preflight.problems(fleet, fleet.app_hosts, facts, Target("rollback", "v0"))
    assert (told == {}) == warm and set(told) <= {host.name for host in fleet.app_hosts}


@pytest.mark.parametrize(
    "tls, scheme, url, message",
    [
        ("off", "http", "https://shop.example", 'SITE_URL is https://shop.example, but visitors use http (tls = "off"'),
        ("elsewhere", "https", "http://localhost:8000", "SITE_URL is http://localhost:8000, but visitors use https"),
        ("files", "http", "https://a.example", 'nginx does not match tls = "files" in [site]: run slipway provision'),
        ("files", "", "http://localhost", "SITE_URL is http://localhost, but visitors use https"),
        ("off", "http", "http://localhost.evil.example", "SITE_URL is not https; http is allowed only for localhost"),
        (None, "http", "https://shop.example", "SITE_URL is https://shop.example, but visitors use http "),
        (None, "https", "https://shop.example", ""),
        ("off", "http", "http://shop.localhost", ""),
        ("off", "", "", ""),
    ],
)
def test_site_url_and_tls_must_agree(data, facts, tls, scheme, url, message):
    """SITE_URL must match the file's `tls` (None: a fleet by variables) and nginx, on web hosts; a rollback goes on."""
    data["site"].update(tls=tls or "off", certificate="/c", key="/k", proxies=["10.0.0.1"])
    fleet = replace(config.build(data, {}, "test"), by_variables=tls is None)
    for name in ("web1", "work"):
        facts[name]["site"] = {"scheme": scheme, "url": url}
    facts["web2"]["site"] = {"scheme": "", "url": ""}
    for host in fleet.app_hosts:
        facts[host.name]["files"] = preflight.expected_files(fleet, host)
    found = preflight.problems(fleet, fleet.app_hosts, facts, DEPLOY)
    assert list(found) == (["web1"] if message else []) and all(
        text.startswith(message) for text in found.get("web1", ())
    )
    assert not preflight.problems(fleet, fleet.app_hosts, facts, Target("rollback", "v0"))


@pytest.mark.parametrize("text", UNFIT)
def test_what_keeps_a_host_from_a_deploy(fleet, facts, text):
    assert preflight.problems(fleet, fleet.app_hosts, facts, DEPLOY) == {}
    facts["web2"].update(UNFIT[text])
    assert preflight.problems(fleet, fleet.app_hosts, facts, DEPLOY) == {"web2": [text]}


@pytest.mark.parametrize("amiss", [{"blind": "visitors cannot be watched"}, {"sqlite": "there is no folder"}])
def test_what_keeps_no_host_from_a_rollback(fleet, facts, amiss):
    """It is not watched, and the release has run there before: it may be what mends the host."""
    facts["web2"].update(amiss)
    assert preflight.problems(fleet, fleet.app_hosts, facts, DEPLOY)
    assert not preflight.problems(fleet, fleet.app_hosts, facts, Target("rollback", "v0"))


def test_which_hosts_a_rollout_changes(fleet, facts):
    """Those with another release; a new one has no migrations to judge by. If none has another, all that have one."""
    facts["web1"]["tag"] = None
    facts["work"]["tag"] = {"tag": "v2", "image_id": "sha256:2"}
    names = [[host.name for host in preflight.hosts_to_change(fleet.app_hosts, facts, tag)] for tag in ("v2", "v3")]
    assert names == [["web2"], ["web2", "work"]]
    facts["web2"]["tag"] = facts["work"]["tag"]
    assert [host.name for host in preflight.hosts_to_change(fleet.app_hosts, facts, "v2")] == ["web2", "work"]


def test_files_of_another_checkout(fleet, facts):
    unit = "/etc/systemd/system/shop-web@.service"
    facts["web1"]["files"][unit] = other_content(facts["web1"]["files"][unit])
    facts["web2"]["files"][unit] = ""
    found = preflight.problems(fleet, fleet.app_hosts, facts, Target("deploy", "v2"))
    assert found == {
        "web1": [f"differs from this checkout in {unit}: run slipway provision"],
        "web2": [f"is not provisioned, {unit} is missing: run slipway provision"],
    }


def test_a_rollback_needs_one_goal(facts):
    with pytest.raises(Refused, match="no earlier release"):
        preflight.previous_releases(facts)
    for found in facts.values():
        found["revert"] = {"tag": "v0", "image_id": "sha256:0"}
    assert preflight.previous_releases(facts)["work"] == {"tag": "v0", "image_id": "sha256:0"}
    facts["web2"]["revert"] = None
    with pytest.raises(Refused) as refused:
        preflight.previous_releases(facts)
    assert str(refused.value).splitlines()[1:] == ["on web1, work: v0", "on web2: none"]


def test_only_what_was_committed_can_be_gone_back_to(facts):
    facts["web1"]["history"] = [
        {"tag": "v0", "image_id": "sha256:0", "outcome": "committed"},
        {"tag": "v5", "image_id": "sha256:5", "outcome": "taken back"},
    ]
    assert {name: record["image_id"] for name, record in preflight.records_of(facts, "v0").items()} == {
        "web1": "sha256:0",
        "web2": "",  # it pulls the image by the digest of web1's record: here the id may name any image
        "work": "",
    }
    facts["web2"]["revert"] = {"tag": "v0", "image_id": "sha256:00"}
    assert preflight.records_of(facts, "v0")["web2"]["image_id"] == "sha256:00"
    with pytest.raises(Refused, match="v5 was never committed"):
        preflight.records_of(facts, "v5")


@pytest.mark.parametrize(
    "changes, lacks", [({}, False), ({"inherited": True}, True), ({"outcome": "failed"}, True), ({"tag": "v1"}, True)]
)
def test_which_hosts_may_lack_static_files(facts, changes, lacks):
    """All but those that have committed the release themselves."""
    record = {"tag": "v0", "image_id": "sha256:0", "outcome": "committed"}
    for host in facts.values():
        host["history"] = [record]
    facts["web2"]["history"] = [{**record, **changes}]
    assert preflight.unpublished(facts, "v0") == (("web2",) if lacks else ())


DRIFT = {
    "v0 is committed, but not on all hosts: deploy again, or roll back": {
        "tag": {"tag": "v0", "image_id": "sha256:0"},
        "slots": slots("v0"),
    },
    "v0 runs instead of v1, the committed release: deploy again": {"slots": slots("v0")},
    "settings are staged: they go live with the next deploy": {"staged": True},
    "2 lines of releases.log are damaged and ignored": {"torn": 2},
    "visitors of shop.example get 421": {"strangers": ["visitors of shop.example get 421"]},
    "digest is failed, exit-code: see slipway logs --role digest": {
        "timed": {"digest": {"state": "failed", "health": "exit-code"}, "fine": {"state": "inactive", "health": ""}}
    },
    "a deploy of v2 died; the next deploy or rollback cleans up": {"attempt": "v2"},
    "web keeps exiting: its unit restarted 9 x, its container is 4 s old: see slipway logs": {
        "containers": {"shop-web-a": ["1", "2", 4996], "shop-web-b": ["1", "2", 1]},
        "slots": slots("v1", web={"state": "active", "restarts": "9"}),
    },
}


@pytest.mark.parametrize("text", DRIFT)
def test_what_status_finds_amiss(fleet, facts, text):
    assert drift.problems(fleet, fleet.app_hosts, facts) == {}
    facts["web2"].update(DRIFT[text])
    found = drift.problems(fleet, fleet.app_hosts, facts)
    assert found["web2"] == [text] and len(found) == (3 if "all hosts" in text else 1)


@pytest.mark.parametrize(
    "restarts, age, amiss",
    [
        ("0", 1, False),
        ("1", 59, True),
        ("1", 61, False),
        ("1", -9, False),
        ("5", 299, True),
        ("1000", 3599, True),
        ("1000", 3601, False),
    ],
)
def test_what_ends_again_and_again(fleet, facts, restarts, age, amiss):
    """A unit with N restarts is a problem while its container is younger than N minutes, at most 60."""
    facts["work"].update(
        alone={"beat": {"state": "active", "restarts": restarts}}, containers={"shop-beat": ["1", "2", 5000 - age]}
    )
    assert ("work" in drift.problems(fleet, fleet.app_hosts, facts)) is amiss
    facts["work"]["containers"] = {}
    assert ("work" in drift.problems(fleet, fleet.app_hosts, facts)) is (restarts != "0")
