"""Deploys to a swarm, as far as they are decided without one: the way back, what is in the way, what is shown."""

import copy

import pytest

from slipway.deploy.agent.swarm import settle, stacks, store
from slipway.deploy.config import build
from slipway.deploy.engine.workloads import Release
from slipway.deploy.errors import Refused
from slipway.deploy.rollout.plan import Options, shown
from slipway.deploy.swarm import goal, look, plan
from slipway.deploy.swarm.stack import stack

FILE = {"app": "shop", "image": "registry.example/shop", "media": "bucket",
        "engine": {"kind": "swarm", "replicas": {"web": 3, "worker": 1, "beat": 1}},
        "hosts": {"a": {"roles": ["web"], "internal": "10.0.0.1"}, "b": {"roles": ["web"], "internal": "10.0.0.2"},
                  "c": {"roles": ["worker", "beat"], "internal": "10.0.0.3"}}}
RELEASE = Release("v2", "sha256:2")


def fleet(**more):
    return build({**FILE, **more}, {}, "x.toml")


def record(tag, outcome="committed", **more):
    return {"tag": tag, "image_id": f"sha256:{tag}", "action": "deploy", "outcome": outcome, "id": f"id-{tag}", **more}


def facts(*records, **more):
    labels = [f"shop.{role}" for role in ("web", "worker", "beat")]
    nodes = [{"id": name, "name": name, "state": "ready", "manager": True, "availability": "active", "labels": labels}
             for name in "abc"]
    running = {name: {"wanted": 1, "running": 1, "tags": ["v1"], "ids": ["id-v1"], "wrong": [], "update": ""}
               for name in ("web", "worker", "beat")}
    return {"node": "a", "arch": "x86_64", "nodes": nodes, "services": running, "settings": "shop.settings.1",
            "staged": False, "files": [],
            "site": ["http", "shop.example"], "records": list(records) or [record("v1")], "lock": None, "holder": "",
            "attempt": "", "expected": dict.fromkeys(running, "id-v1"), "counts": dict.fromkeys(running, 1),
            **more}


# ---- where it goes ----

def test_a_rollback_goes_to_the_release_before_and_not_to_one_that_was_withdrawn():
    now = facts(record("v1"), record("v2"), record("v3"))
    assert goal.back(now) == Release("v2", "sha256:v2")
    assert goal.back(now, "v1") == Release("v1", "sha256:v1")
    again = facts(record("v1"), record("v2"), record("v3"), record("v2", action="rollback", withdrawn="v3"))
    assert goal.back(again).tag == "v1"
    assert goal.back(facts(record("v1"), record("bad", "taken back"), record("v2"))).tag == "v1"


@pytest.mark.parametrize("found, tag, said", [
    (facts(record("v1", "taken back")), "", "nothing is live yet"),
    (facts(record("v1")), "", "no release came before this one"),
    (facts(record("v1"), record("v2")), "v2", "v2 is live already"),
    (facts(record("v1"), record("v2")), "v9", "no release v9 was committed here"),
])
def test_where_no_way_leads_back(found, tag, said):
    with pytest.raises(Refused, match=said):
        goal.back(found, tag)


def test_what_keeps_a_release_from_coming():
    assert goal.problems(fleet(), facts()) == []
    found = facts(settings="")
    found["nodes"] = [{**node, "labels": ["shop.web"]} for node in found["nodes"]]
    found["nodes"].append({**found["nodes"][0], "state": "down", "labels": ["shop.worker", "shop.beat"]})
    assert goal.problems(fleet(), found) == [
        "no settings are there yet: make env ARGS='set NAME …'",
        "no node that is up has the role worker: run make provision, see make status",
        "no node that is up has the role beat: run make provision, see make status"]


# ---- the steps ----

def test_the_database_changes_before_the_first_container_and_web_before_all_else():
    steps = list(plan.steps(fleet(), "deploy", Options()))
    assert [step.name for step in steps] == ["begin", "pull", "verdicts", "migrate", "update", "update", "watch",
                                             "commit"]
    assert [step.args["part"] for step in steps if step.name == "update"] == ["web", "rest"]
    back = [step.name for step in plan.steps(fleet(), "rollback", Options())]
    assert back == ["begin", "pull", "verdicts", "update", "update", "commit"]
    assert any("migrate" in line and "where some are pending" in line for line in shown(plan.plan(
        fleet(), "deploy", Options())))


def test_static_files_are_in_their_bucket_before_a_page_can_name_them():
    steps = [step.name for step in plan.steps(fleet(static={"publish": "s3://files/shop"}), "deploy", Options())]
    assert steps.index("verdicts") < steps.index("upload") < steps.index("update")


def test_how_long_the_web_may_take_grows_with_its_parts():
    many = {**FILE["engine"], "replicas": {"web": 8, "worker": 0, "beat": 0}}
    one_by_one = plan.seconds(fleet(engine=many, rollout={"parallel": 1}))
    assert one_by_one - plan.seconds(fleet(engine=many, rollout={"parallel": 8})) == 7 * (60 + 2)


# ---- what is shown ----

def test_a_swarm_on_which_all_is_well_has_no_problems():
    assert list(look.problems(fleet(), facts())) == []
    assert list(look.rows(facts()))[0] == ("web", "v1", "1 of 1", "-")


@pytest.mark.parametrize("change, said", [
    ({"web": None}, "web: is gone; make deploy TAG=v1 brings it back"),
    ({"web": {"running": 0, "wrong": ["rejected: no such image"]}},
     "web: 0 of 1 containers are well; rejected: no such image"),
    ({"web": {"wanted": 0, "running": 0}}, "web: is to have 0 containers, 1 were committed"),
    ({"web": {"tags": ["v1", "v2"], "ids": ["id-v1", "id-v2"]}}, "web: runs v1, v2, and v1 was committed"),
    ({"old": {"running": 1}}, "old: runs, and was never committed"),
])
def test_what_is_not_as_it_should_be(change, said):
    found = facts()
    for name, more in change.items():
        if more is None:
            del found["services"][name]
        else:
            found["services"][name] = {**found["services"]["web"], **more}
    assert [line for line in look.problems(fleet(), found) if line.startswith(said)], [*look.problems(fleet(), found)]


def test_nodes_that_are_away_are_told():
    found = facts()
    found["nodes"][2]["state"] = "down"
    del found["nodes"][0]
    assert list(look.problems(fleet(), found)) == ["c: out of the swarm's sight",
                                                   "of 3 hosts 2 are in the swarm: run make provision"]


# ---- what the agent makes of a stack ----

@pytest.fixture
def made():
    return stack(fleet(), RELEASE, "id-v2", "shop.settings.1", ["CERT.1"])


def task(state, id="id-v2", desired="running", name="1"):
    return {"ID": name, "DesiredState": desired, "Status": {"State": state, "Err": "told to crash"},
            "Spec": {"ContainerSpec": {"Labels": {stacks.ID: id}}}}


def test_a_one_off_is_like_web_and_runs_once(made):
    once = stacks.one_off(made, ["migrate"])["services"]
    web, it = made["services"]["web"], once["once"]
    assert list(once) == ["once"] and it["command"] == ["migrate"]
    assert it["deploy"]["restart_policy"] == {"condition": "none"} and "update_config" not in it["deploy"]
    assert (it["image"], it["secrets"], it["environment"]) == (web["image"], web["secrets"], web["environment"])
    assert "healthcheck" not in it and it["deploy"]["placement"] == web["deploy"]["placement"]


def test_a_stack_that_goes_back_pauses_nowhere(made):
    before = copy.deepcopy(made)
    quick = stacks.at_once(made)["services"]
    assert {(one["deploy"]["update_config"]["parallelism"], one["deploy"]["update_config"]["delay"])
            for name, one in quick.items() if name != "proxy"} == {(0, "0s")}
    assert quick["beat"]["deploy"]["update_config"]["order"] == "stop-first" and made == before


def test_an_old_stack_gets_new_containers_but_for_the_proxy(made):
    again = stacks.ids(settle.anew(made, "id-3"))
    assert again == {"proxy": stacks.ids(made)["proxy"], "web": "id-3", "worker": "id-3", "beat": "id-3"}


@pytest.mark.parametrize("tasks, there", [
    ([task("running")] * 3, True),
    ([task("running")] * 2, False),
    ([task("running")] * 3 + [task("running", "id-v1")], False),
    ([task("running")] * 3 + [task("running", "id-v1", "shutdown")], True),
    ([task("running")] * 2 + [task("starting")], False),
])
def test_a_service_has_arrived_with_its_last_container(tasks, there):
    service = {"Spec": {"Mode": {"Replicated": {"Replicas": 3}}}}
    assert stacks.arrived(service, tasks, "id-v2") is there


def test_a_container_that_ended_counts_unless_it_had_before():
    tasks = [task("running", name="1"), task("failed", desired="shutdown", name="2"), task("shutdown", name="3")]
    assert stacks.broken(tasks, "id-v2", ())["ID"] == "2" and stacks.broken(tasks, "id-v2", {"2"}) is None
    assert stacks.broken(tasks, "id-v1", ()) is None and stacks.broken([task("complete")], "id-v2", ())
    assert stacks.why(tasks[1]) == "failed: told to crash"


def test_what_went_wrong_never_pushes_out_what_is_live():
    found = {f"shop.record.{number:08}": record(f"v{number}", "committed" if number < 3 else "taken back")
             for number in range(100)}
    gone = store.too_old(found)
    assert len(found) - len(gone) == 3 + store.FAILED and not {"shop.record.00000002"} & {*gone}


def test_web_goes_first_with_its_proxy(made):
    assert [*stacks.part(made, "web")["services"]] == ["proxy", "web"]
    assert [*stacks.part(made, "rest")["services"]] == ["worker", "beat"]


def test_a_service_that_still_changes_has_not_arrived():
    service = {"Spec": {"Mode": {"Replicated": {"Replicas": 1}}}, "UpdateStatus": {"State": "updating"}}
    assert not stacks.arrived(service, [task("running")], "id-v2")


def test_an_update_that_waits_for_a_lost_node_begins_anew(made):
    """What it is told then changes no container."""
    assigned, running = {**task("assigned"), "NodeID": "b"}, {**task("running"), "NodeID": "c"}
    assert stacks.waited_for({"web": [assigned, running]}, {"b", "c"}) == {"b"}
    assert stacks.waited_for({"web": [assigned]}, set()) == set()
    again = stacks.nudged(made, 1)["services"]
    assert {name: {**one, "deploy": {key: value for key, value in one["deploy"].items() if key != "labels"}}
            for name, one in again.items()} == made["services"]


@pytest.mark.parametrize("bad, order", [(0, "start-first"), (1, "stop-first"), (2, "start-first"), (3, "start-first")])
def test_the_lesser_half_that_is_bad_stops_before_others_come(made, bad, order):
    tasks = [task("running", "id-v3")] * bad + [task("running")] * (3 - bad) + [task("shutdown", "id-v3", "shutdown")]
    back = stacks.at_once_from(made, tasks, "id-v3")["services"]
    assert back["web"]["deploy"]["update_config"]["order"] == order
    assert (back["web"]["deploy"]["update_config"]["parallelism"], back["worker"]) == (
        0, stacks.at_once(made)["services"]["worker"])
