"""The plan: the steps that follow from a fleet and a target, and the facts that forbid a deploy."""

from dataclasses import replace

import pytest

from deployer.conftest import fleet_of
from slipway.deploy import __main__
from slipway.deploy.commands.plan import deploy_from_args
from slipway.deploy.config import Host
from slipway.deploy.rollout.plan import Options, Target, judging_host, plan, table_rows

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
    "what a host never published, a rollback brings": (
        BUCKET,
        replace(ROLLBACK, unpublished=("web2", "work")),
        Options(),
        "start publish upload",
        ["start web : web1 web2 + publish : web2", "start worker : work"],
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
    "a process of a team that may overlap ends in the old slot": (
        {"process": OWN, "hosts.work.roles": ["mail"]},
        DEPLOY,
        Options(),
        "replace",
        ["replace : work"],
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


def test_who_judges_migrations_has_web_if_any_has():
    work, web = Host("work", "work", ("worker",)), Host("web", "web", ("web",))
    assert [judging_host(hosts) for hosts in ([work, web], [work], [])] == ["web", "work", ""]


def test_the_smoke_paths_must_answer_before_each_flip(data):
    """Of a deploy and of a rollback. Only a deploy counts visitors' errors."""
    fleet = fleet_of(data, {"rollout.smoke": ["/x"], "rollout.max_errors": 0.5})
    for target, args in ((DEPLOY, {"smoke": ["/x"], "max_errors": 0.5}), (ROLLBACK, {"smoke": ["/x"]})):
        steps = [step for group in plan(fleet, fleet.app_hosts, target, Options(), WHO) for step in group]
        assert all(step.args == args for step in steps if step.name == "flip")
        assert all(step.args["smoke"] == ["/x"] for step in steps if step.name == "ready")


def test_a_plan_shows_no_start_of_web_where_there_is_none(data):
    for hosts, wanted in (
        ({}, ["web1, web2", "web1, web2, if some are pending", "work"]),
        ({"hosts": {"work": {"roles": ["worker"]}}}, ["work"]),
    ):
        fleet = fleet_of(data, hosts)
        rows = table_rows(plan(fleet, fleet.app_hosts, DEPLOY, Options(), WHO))
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
    fleet = deploy_from_args(
        fleet_of(data, {"rollout.parallel": 7}), __main__.parse(["deploy", "v2", *words]), print
    ).fleet
    [migrate] = [
        step for group in plan(fleet, fleet.hosts, DEPLOY, Options(), WHO) for step in group if step.name == "migrate"
    ]
    assert (fleet.rollout["parallel"], fleet.rollout["bake"], migrate.args["max_lock"]) == (parallel, bake, lock)


def test_each_host_hears_what_is_its_own(fleet):
    target = Target("rollback", "v1", releases={"web1": {"image_id": "sha256:1"}, "web2": {"image_id": "sha256:9"}})
    begin = plan(fleet, fleet.app_hosts, target, Options(), WHO)[0][0]
    assert [begin.args_for(name)["image_id"] for name in ("web1", "web2")] == ["sha256:1", "sha256:9"]


def test_every_host_is_watched_from_its_flip_on(fleet):
    for action, most in (("deploy", 0.05), ("rollback", None)):
        groups = plan(fleet, fleet.app_hosts, Target(action, "v2"), Options(), WHO)
        flips = [step for group in groups for step in group if step.name == "flip"]
        assert [step.args.get("max_errors") for step in flips] == [most] * len(flips)
        assert sorted(name for step in flips for name in step.hosts) == ["web1", "web2", "work"]
