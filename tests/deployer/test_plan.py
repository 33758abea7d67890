"""The plan: the steps that follow from a fleet and a target, and the facts that forbid a deploy."""

from dataclasses import replace

import pytest

from deployer.agents import fine
from deployer.conftest import fleet_of
from slipway.deploy import __main__, config
from slipway.deploy.commands.plan import deploy_of
from slipway.deploy.errors import Refused
from slipway.deploy.rollout import drift, preflight
from slipway.deploy.rollout.plan import Options, Target, plan, shown

WHO = {"id": "1", "who": "deploy v2 by ann from laptop since now"}

DEPLOY, ROLLBACK = Target("deploy", "v2", "sha256:2", judge="web1"), Target("rollback", "v1")
OWN = {"alerts": {"command": "manage sendalerts"}, "mail": {"command": "mail", "overlap": True}}
TEAM = {
    "process": {**OWN, "unused": {"command": "x", "overlap": True}},
    "hosts.web2.roles": ["web", "alerts"],
    "hosts.work.roles": ["mail", "beat"],
}
CLOCK = {"hosts.clock": {"roles": ["beat"]}, "hosts.work.roles": ["worker"]}
BUCKET = {"static.publish": "s3://shop-static/shop"}


PLANS = {  # changes of the file, target, options, the selected steps → the plan, a line for each group
    "all is proved before anything turns; canary, the others, beat; watched; committed in two halves": (
        {},
        DEPLOY,
        Options(),
        "",
        [
            "begin : web1 web2 work",
            "pull : web1 web2 work",
            "start web : web1 web2 + verdicts : web1 + publish : web1 web2",
            "migrate : web1 if some are pending",
            "start web : web1 web2 if some are pending",
            "start worker : work",
            "ready web worker : web1 web2 work",
            "pause : work",
            "flip : web1",
            "watch : web1",
            "flip : web2 + flip : work",
            "replace : work",
            "watch : web1 web2 work",
            "prepare : web1 web2 work",
            "promise : web1 web2 work",
            "commit : web1 web2 work",
        ],
    ),
    "a rollback is urgent: visitors first, everywhere at once": (
        {},
        ROLLBACK,
        Options(),
        "",
        [
            "begin : web1 web2 work",
            "pull : web1 web2 work",
            "start web : web1 web2",
            "ready web : web1 web2",
            "flip : web1 web2 work",
            "pause : work + start worker : work",
            "ready worker : work",
            "replace : work",
            "prepare : web1 web2 work",
            "promise : web1 web2 work",
            "commit : web1 web2 work",
        ],
    ),
    "static files reach a bucket before any visitor does, from one host": (
        BUCKET,
        DEPLOY,
        Options(),
        "start publish upload flip",
        [
            "start web : web1 web2 + publish : web1 web2 + upload : web1",
            "start web : web1 web2 if some are pending",
            "start worker : work",
            "flip : web1",
            "flip : web2 + flip : work",
        ],
    ),
    "a host without web may upload": (
        {**BUCKET, "hosts": {"work": {"roles": ["worker"]}}},
        DEPLOY,
        Options(),
        "publish upload",
        ["upload : work"],
    ),
    "what a rollback goes to was published": (BUCKET, ROLLBACK, Options(), "publish upload", []),
    "processes of a team start with workers, and end with beat, in waves": (
        TEAM,
        DEPLOY,
        Options(),
        "start ready pause replace",
        [
            "start web : web1 web2",
            "start web : web1 web2 if some are pending",
            "start mail : work",
            "ready web mail : web1 web2 work",
            "replace : web2",
            "replace : work",
        ],
    ),
    "for a rollback at once": (
        TEAM,
        ROLLBACK,
        Options(),
        "start ready pause replace",
        [
            "start web : web1 web2",
            "ready web : web1 web2",
            "start mail : work",
            "ready mail : work",
            "replace : web2 work",
        ],
    ),
    "all hosts take part from the first change on": (
        CLOCK,
        DEPLOY,
        Options(),
        "start",
        ["start web : web1 web2", "start web : web1 web2 if some are pending", "start worker : work"],
    ),
    "who judges migrations": (
        {},
        replace(DEPLOY, judge="web2"),
        Options(),
        "verdicts migrate",
        ["verdicts : web2", "migrate : web1 if some are pending"],
    ),
    "nobody does at the first deploy of all": (
        {},
        Target("deploy", "v1"),
        Options(),
        "verdicts migrate",
        ["migrate : web1"],
    ),
    "before a rollback to a named release": (
        {},
        replace(ROLLBACK, judge="web2"),
        Options(),
        "verdicts migrate",
        ["verdicts : web2"],
    ),
    "migrate in any case": (
        {"rollout.always_migrate": True},
        DEPLOY,
        Options(),
        "migrate start",
        ["start web : web1 web2", "migrate : web1", "start web : web1 web2", "start worker : work"],
    ),
    "--no-bake leaves the canary's watch": ({"rollout.bake": 0}, DEPLOY, Options(), "watch", ["watch : web1"]),
    "no watch lasts 0 seconds": ({"rollout": {"canary": 0, "bake": 0}}, DEPLOY, Options(), "watch", []),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan(data, name):
    changes, target, options, only, lines = PLANS[name]
    fleet = fleet_of(data, changes)
    found = [
        " + ".join(
            " ".join([step.name, *step.args.get("roles", ()), ":", *step.hosts, *step.where.split()])
            for step in group
            if not only or step.name in only.split()
        )
        for group in plan(fleet, fleet.app_hosts, target, options, WHO)
    ]
    assert [line for line in found if line] == lines


def test_a_plan_shows_no_start_of_web_where_there_is_none(data):
    for hosts, wanted in (
        ({}, ["web1, web2", "web1, web2, if some are pending", "work"]),
        ({"hosts": {"work": {"roles": ["worker"]}}}, ["work"]),
    ):
        fleet = fleet_of(data, hosts)
        rows = shown(plan(fleet, fleet.app_hosts, DEPLOY, Options(), WHO))
        assert [row[2] for row in rows if row[1].startswith("start")] == wanted


@pytest.mark.parametrize(
    "web, cap, waves",
    [
        (0, 0, [[1]]),
        (1, 0, [[1], [1]]),
        (32, 0, [[1], [2, 1], [4], [8], [16], [1]]),
        (4, 1, [[1], [1, 1], [1], [1]]),
        (32, 5, [[1], [2, 1], [4], [5], [5], [5], [5], [5]]),
    ],
)
def test_hosts_flip_in_waves(data, web, cap, waves):
    """The canary, then each wave twice the last, up to `parallel`; the worker in the second."""
    hosts = {**{f"web{number}": {"roles": ["web"]} for number in range(web)}, "work": data["hosts"]["work"]}
    fleet = fleet_of(data, {"hosts": hosts, "rollout.parallel": cap})
    found = [group for group in plan(fleet, fleet.app_hosts, DEPLOY, Options(), WHO) if group[0].name == "flip"]
    assert [name for group in found for step in group for name in step.hosts if name != "work"] == [*hosts][:-1]
    assert [[len(step.hosts) for step in group] for group in found] == waves


@pytest.mark.parametrize(
    "words, parallel, bake, lock", [([], 7, 10, 2), (["--parallel", "0", "--no-bake", "--allow-locks"], 0, 0, 1e9)]
)
def test_options_outrank_the_file(data, words, parallel, bake, lock):
    fleet = deploy_of(fleet_of(data, {"rollout.parallel": 7}), __main__.parse(["deploy", "v2", *words]), print).fleet
    [migrate] = [
        step for group in plan(fleet, fleet.hosts, DEPLOY, Options(), WHO) for step in group if step.name == "migrate"
    ]
    assert (fleet.rollout["parallel"], fleet.rollout["bake"], migrate.args["max_lock"]) == (parallel, bake, lock)


def test_each_host_hears_what_is_its_own(fleet):
    target = Target("rollback", "v1", releases={"web1": {"image_id": "sha256:1"}, "web2": {"image_id": "sha256:9"}})
    begin = plan(fleet, fleet.app_hosts, target, Options(), WHO)[0][0]
    assert [begin.args_for(name)["image_id"] for name in ("web1", "web2")] == ["sha256:1", "sha256:9"]


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
            "files": preflight.expected(fleet, host),
            "known": [],
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
    "beat runs, but the host does not have the role beat: run make provision": {
        "containers": {"shop-beat": ["1", "2"]}
    },
}


def test_sqlite_is_for_one_server(data, fleet, facts):
    for found in facts.values():
        found["sqlite"] = "there is no /var/www/shop/data"
    found = preflight.problems(fleet, fleet.app_hosts, facts, DEPLOY)
    assert found.keys() == facts.keys() and all("its own file: use Postgres" in text for (text,) in found.values())
    one = fleet_of(data, {"hosts": {"work": {"roles": ["web", "worker", "beat"]}}})
    facts["work"]["files"] = preflight.expected(one, one.app_hosts[0])
    assert preflight.problems(one, one.app_hosts, facts, DEPLOY) == {"work": ["there is no /var/www/shop/data"]}


@pytest.mark.parametrize("tag, state, warm", [("v0", "active", True), ("v9", "active", False), ("v0", "failed", False)])
def test_a_warm_rollback_needs_no_memory(fleet, facts, tag, state, warm):
    for found in facts.values():
        found.update(memory=0)
        found["slots"]["b"] = {"release": {"tag": tag, "image_id": "sha256:0"}, "units": {"web": {"state": state}}}
    told = preflight.problems(fleet, fleet.app_hosts, facts, Target("rollback", "v0"))
    assert (told == {}) == warm and set(told) <= {host.name for host in fleet.app_hosts}


@pytest.mark.parametrize(
    "tls, scheme, url, said",
    [
        ("off", "http", "https://shop.example", 'SITE_URL is https://shop.example, but visitors use http (tls = "off"'),
        ("elsewhere", "https", "http://localhost:8000", "SITE_URL is http://localhost:8000, but visitors use https"),
        ("files", "http", "https://a.example", 'nginx does not match tls = "files" in [site]: run make provision'),
        ("files", "", "http://localhost", "SITE_URL is http://localhost, but visitors use https"),
        ("off", "http", "http://localhost.evil.example", "SITE_URL is not https; http is allowed only for localhost"),
        (None, "http", "https://shop.example", "SITE_URL is https://shop.example, but visitors use http "),
        (None, "https", "https://shop.example", ""),
        ("off", "http", "http://shop.localhost", ""),
        ("off", "", "", ""),
    ],
)
def test_site_url_and_tls_must_agree(data, facts, tls, scheme, url, said):
    """SITE_URL must match the file's `tls` (None: a fleet by variables) and nginx, on web hosts; a rollback goes on."""
    data["site"].update(tls=tls or "off", certificate="/c", key="/k", proxies=["10.0.0.1"])
    fleet = replace(config.build(data, {}, "test"), by_variables=tls is None)
    for name in ("web1", "work"):
        facts[name]["site"] = {"scheme": scheme, "url": url}
    facts["web2"]["site"] = {"scheme": "", "url": ""}
    found = preflight.problems(fleet, fleet.app_hosts, facts, DEPLOY)
    assert list(found) == (["web1"] if said else []) and all(text.startswith(said) for text in found.get("web1", ()))
    assert not preflight.problems(fleet, fleet.app_hosts, facts, Target("rollback", "v0"))


@pytest.mark.parametrize("text", UNFIT)
def test_what_keeps_a_host_from_a_deploy(fleet, facts, text):
    assert preflight.problems(fleet, fleet.app_hosts, facts, DEPLOY) == {}
    facts["web2"].update(UNFIT[text])
    assert preflight.problems(fleet, fleet.app_hosts, facts, DEPLOY) == {"web2": [text]}


def test_files_of_another_checkout(fleet, facts):
    unit = "/etc/systemd/system/shop-web@.service"
    facts["web1"]["files"][unit] = "0" * 64
    facts["web2"]["files"][unit] = ""
    found = preflight.problems(fleet, fleet.app_hosts, facts, Target("deploy", "v2"))
    assert found == {
        "web1": [f"differs from this checkout in {unit}: run make provision"],
        "web2": [f"is not provisioned, {unit} is missing: run make provision"],
    }


def test_a_rollback_needs_one_goal(facts):
    with pytest.raises(Refused, match="no earlier release"):
        preflight.revert_of(facts)
    for found in facts.values():
        found["revert"] = {"tag": "v0", "image_id": "sha256:0"}
    assert preflight.revert_of(facts)["work"] == {"tag": "v0", "image_id": "sha256:0"}
    facts["web2"]["revert"] = None
    with pytest.raises(Refused) as refused:
        preflight.revert_of(facts)
    assert str(refused.value).splitlines()[1:] == ["on web1, work: v0", "on web2: none"]


def test_only_what_was_committed_can_be_gone_back_to(facts):
    facts["web1"]["known"] = [
        {"tag": "v0", "image_id": "sha256:0", "outcome": "committed"},
        {"tag": "v5", "image_id": "sha256:5", "outcome": "taken back"},
    ]
    assert preflight.recorded(facts, "v0")["work"]["image_id"] == "sha256:0"
    with pytest.raises(Refused, match="v5 was never committed"):
        preflight.recorded(facts, "v5")


DRIFT = {
    "v0 is committed, but not on all hosts: deploy again, or roll back": {
        "tag": {"tag": "v0", "image_id": "sha256:0"},
        "slots": slots("v0"),
    },
    "v0 runs instead of v1, the committed release: deploy again": {"slots": slots("v0")},
    "settings are staged: they go live with the next deploy": {"staged": True},
    "2 lines of releases.log are damaged and ignored": {"torn": 2},
    "visitors of shop.example get 421": {"strangers": ["visitors of shop.example get 421"]},
    'digest is failed, exit-code: see make logs ARGS="--role digest"': {
        "timed": {"digest": {"state": "failed", "health": "exit-code"}, "fine": {"state": "inactive", "health": ""}}
    },
    "a deploy of v2 died; the next deploy or rollback cleans up": {"attempt": "v2"},
    "web keeps exiting: its unit restarted 9 x, its container is 4 s old: see make logs": {
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


def test_every_host_is_watched_from_its_flip_on(fleet):
    for action, most in (("deploy", 0.05), ("rollback", None)):
        groups = plan(fleet, fleet.app_hosts, Target(action, "v2"), Options(), WHO)
        flips = [step for group in groups for step in group if step.name == "flip"]
        assert [step.args.get("max_errors") for step in flips] == [most] * len(flips)
        assert sorted(name for step in flips for name in step.hosts) == ["web1", "web2", "work"]
