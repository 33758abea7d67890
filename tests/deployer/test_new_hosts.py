"""A host that is new, or that replaces another: what it takes from others, and where a rollback then goes."""

import base64
from dataclasses import replace
from unittest import mock

import pytest

from deployer.agents import Agent, agents, fine, line
from deployer.clock import run
from deployer.machine import Machine, release
from deployer.simulated import OWN, world
from slipway.deploy.agent import disk, images, releases, requests, staging
from slipway.deploy.agent.host import Problem
from slipway.deploy.errors import Refused
from slipway.deploy.rollout.rollout import Rollout


def lived(machine):
    """Let a host live: v2 is live, v1 before it had other settings, and bad was taken back. Return what it gives."""
    disk.write(machine.host.next_env, "SECRET_KEY=2\n")
    machine.attempt("deploy", "v2")
    machine.attempt("deploy", "bad", until=6)
    return staging.read_settings(machine.host, secrets=True)


def decoded(text):
    return base64.b64decode(text).decode()


def given_to(machine, given, reverted):
    """Let a new host take what another gives, as a deploy does."""
    disk.write(machine.host.next_env, decoded(given["settings"]))
    staging.inherit(machine.host, given["records"], dict(given["secrets"]), reverted)


@pytest.fixture
def new(tmp_path):
    return Machine(tmp_path / "new", OWN)


def test_a_replaced_host_goes_back_as_the_others(machine, new):
    """It gets the live release, and then has REVERT and its settings, too."""
    given = lived(machine)
    with world(new.host):
        given_to(new, given, given["reverted"])
        new.attempt("deploy", "v2")
        assert releases.read_tag(new.host.revert) == release("v1")
        new.at_rest("v2")
        new.attempt("rollback", "v1")
        new.at_rest("v1")
        assert disk.read(new.host.env) == "SECRET_KEY=1\n"
        assert releases.withdrawn_tags(releases.read_log(new.host)[0]) == {"v2"}


def test_a_release_that_was_rolled_back_from_stays_so(machine, new):
    lived(machine)
    machine.attempt("rollback", "v1")
    given = staging.read_settings(machine.host, secrets=True)
    with world(new.host):
        given_to(new, given, given["settings"])
        new.attempt("deploy", "v3")
        assert releases.read_tag(new.host.revert) == release("v1")


def test_a_second_try_adds_no_record_twice(machine, new):
    """A host's own failures stay before those of the other."""
    given = lived(machine)
    with world(new.host):
        new.attempt("deploy", "bad", until=6)
        for record in given["records"]:
            record["id"] = "1" + record["tag"]
        for _ in range(2):
            given_to(new, given, given["reverted"])
        found = [(record["id"], "inherited" in record) for record in releases.read_log(new.host)[0]]
        assert found == [("0", False), ("1v1", True), ("1v2", True), ("1bad", True)]


def test_settings_of_no_release_before_are_not_kept(machine, new):
    disk.write(new.host.revert_env, "OF=nobody\n")
    given_to(new, lived(machine), None)
    assert disk.read(new.host.revert_env) is None


def test_a_host_with_a_release_takes_no_history(machine, new):
    given = lived(machine)
    before = disk.read(machine.host.log)
    with pytest.raises(Problem, match=r"^this host has a release, and so a history of its own$"):
        staging.inherit(machine.host, given["records"], {}, None)
    assert disk.read(machine.host.log) == before


@pytest.mark.parametrize(
    "record", ["x", {}, {"tag": "a/b", "image_id": "", "action": "deploy", "outcome": "committed"}]
)
def test_what_is_no_record_is_not_taken(machine, record):
    with pytest.raises(Problem, match=r"^inherit: the argument 'records'"):
        requests.check(machine.host, "", "inherit", {"records": [record], "files": {}})


# ---- what the deployer sends ----


def facts_of(found, **changes):
    return {**found, "facts": {**found["facts"], **changes}}


OTHER = {**release("v0"), "action": "deploy", "outcome": "committed", "digest": "sha256:0", "id": "0"}


def begun(fleet, web2, tag, odd=None, do="begin"):
    """Roll back; return host → the arguments of its step `do`. `web2`: the answers of this host."""
    sent = {}
    found = facts_of(fine(fleet), history=[OTHER], revert=release("v0"))

    def agent(address):
        name = address.rpartition("@")[2].partition(".")[0]
        note = {do: lambda message: sent.update({name: message["args"]})}
        return Agent(web2 if name == "web2" else found, {**note, **((odd or {}) if name == "web2" else {})})

    with agents(agent):
        run(Rollout(fleet, fleet.app_hosts, lambda event: None, "rollback", tag).run())
    return sent


def test_a_rollback_brings_a_host_the_release_that_it_lacks(fleet):
    """By the digest of another's record, never by an id, which might be another image there."""
    sent = begun(fleet, facts_of(fine(fleet), history=[], revert=None), "v0")
    assert {name: (args["image_id"], args["digest"]) for name, args in sent.items()} == {
        "web1": ("sha256:v0", "sha256:0"),
        "web2": ("", "sha256:0"),
        "work": ("sha256:v0", "sha256:0"),
    }


@pytest.mark.parametrize(
    "history, published", [([OTHER], []), ([{**OTHER, "inherited": True}], ["web2"]), ([], ["web2"])]
)
def test_a_rollback_brings_static_files_where_the_release_never_was(fleet, history, published):
    found = facts_of(fine(fleet), history=history)
    assert [*begun(fleet, found, "v0", do="publish")] == published


def refusal(text):
    return {"has_image": lambda message: [line({"id": message["id"], "problem": text, "details": {}})]}


def test_an_image_that_cannot_be_had_is_told_before_the_lock(fleet):
    asked = []
    found = facts_of(fine(fleet), history=[OTHER])
    with (
        agents(lambda address: Agent(found, refusal("image is missing") if "web2" in address else {}, asked)),
        pytest.raises(Refused, match=r"^on web2: image is missing$"),
    ):
        run(Rollout(fleet, fleet.app_hosts, lambda event: None, "rollback", "v0").run())
    assert "has_image" in asked and "lock" not in asked


@pytest.mark.parametrize("registry", ["", "ssh"])
def test_only_a_registry_is_asked_for_an_image(fleet, registry):
    """Without one, its name would be that of a stranger's image at Docker Hub."""
    asked = []
    odd = {"has_image": lambda message: asked.append(message["args"]["pulls"])}
    begun(replace(fleet, registry=registry), facts_of(fine(fleet), history=[OTHER]), "v0", odd)
    assert asked == [not registry]


def test_a_rollback_waits_for_the_first_deploy_of_a_new_host(fleet):
    bare = facts_of(fine(fleet), tag=None, revert=None, history=[])
    for tag in ("", "v0"):
        with pytest.raises(Refused, match=r"^web2: no release is there to go back from: run slipway deploy --live"):
            begun(fleet, bare, tag)


# ---- a first deploy, where settings are all that there is ----


STAGED = {
    "settings": "",
    "staged": base64.b64encode(b"A=1\nB=1\n").decode(),
    "services": [],
    "secrets": [],
    "records": [],
}


def first(fleet, names, do="run", odd=None, chosen=""):
    """Begin the first deploy, on hosts that have settings of these names. Return warnings, and (host, request)."""
    asked, events = [], []

    def agent(address):
        name = address.rpartition("@")[2].partition(".")[0]
        staged = {**STAGED, "staged": STAGED["staged"] if names[name] else None}
        bare = {**fine(fleet), "read_settings": staged}
        note = {do: lambda message: asked.append((name, message["do"])) for do in ("stage", "keep", "inherit", "lock")}
        return Agent(facts_of(bare, tag=None, revert=None, history=[], names=names[name]), {**note, **(odd or {})})

    with agents(agent):
        run(getattr(Rollout(fleet, fleet.chosen(chosen), events.append, "deploy", "v1"), do)())
    return [event["text"] for event in events if event["event"] == "warning"], asked


@pytest.mark.parametrize("chosen", ["", "web2"])
def test_settings_that_were_staged_before_a_host_came_reach_it(fleet, chosen):
    """Though no host has a release yet. There is no history to inherit."""
    said, asked = first(fleet, {"web1": ["A", "B"], "web2": [], "work": ["A", "B"]}, chosen=chosen)
    changes = [each for each in asked if each[1] != "lock"]
    assert changes == [("web2", "stage"), ("web2", "keep")] and not said


def test_a_part_of_the_settings_is_no_accident_but_is_told(fleet):
    said, asked = first(fleet, {"web1": ["A", "B", "C"], "web2": ["B"], "work": ["A", "B", "C"]}, "plan")
    text = "lacks settings that other hosts have: A, C; if it needs them: slipway env set --hosts web2"
    assert said == [f"on web2: {text}"] and not asked


@pytest.mark.parametrize("do", ["plan", "run"])
def test_a_key_that_may_not_read_settings_is_told_so_before_the_lock(fleet, do):
    """An administrator must bring them."""
    odd = {"read_settings": lambda message: [line({"id": message["id"], "problem": "this key may not", "details": {}})]}
    names = {"web1": ["A"], "web2": [], "work": ["A"]}
    with pytest.raises(Refused, match=r"^web2: the settings of web1 cannot be read: this key may not$"):
        first(fleet, names, do, odd)


def test_where_all_hosts_have_settings_none_is_asked_for_them(fleet):
    odd = {"read_settings": lambda message: 1 / 0}
    assert first(fleet, {name: ["A"] for name in ("web1", "web2", "work")}, "plan", odd) == ([], [])


# ---- the image of a rollback, on a host ----


@pytest.fixture
def engine(machine):
    """A Docker engine that has the image of v1, and a registry with that of v2; the list of paths."""
    asked = []

    def call(host, method, path, login=None, seconds=60, given=None, heard=None):
        asked.append(path)
        has = "sha256:v1" in path if path.startswith("/images/") else "sha256:d2" in path
        return (200, '{"Id": "1"}') if has else (404, '{"message": "manifest unknown"}')

    with mock.patch.object(images.docker, "call", call):
        yield asked


@pytest.mark.parametrize(
    "image_id, digest, pulls, problem",
    [
        ("sha256:v1", "sha256:d1", True, ""),
        ("sha256:v1", "", False, ""),
        ("", "sha256:d2", True, ""),
        ("sha256:v2", "sha256:d2", True, ""),
        ("", "sha256:d3", True, "its registry does not give it: manifest unknown"),
        ("", "", True, "its digest is unknown: run slipway deploy v2"),
        ("sha256:v2", "sha256:d2", False, "the servers' file names no registry: run slipway deploy v2"),
    ],
)
def test_where_the_image_of_a_rollback_is(machine, engine, image_id, digest, pulls, problem):
    args = {"image": "r.example/shop", "tag": "v2", "image_id": image_id, "digest": digest, "pulls": pulls}
    if problem:
        with pytest.raises(Problem, match=problem):
            images.has_image(machine.host, **args)
    else:
        images.has_image(machine.host, **args)
    assert any("/distribution/" in path for path in engine) == (pulls and image_id != "sha256:v1" and bool(digest))
