"""A rollout with stand-ins for its hosts: checks of the images they pulled, verdicts, and reports of failures."""

import contextlib
import os
from dataclasses import replace
from types import SimpleNamespace
from unittest import mock

import pytest

from deployer.agents import Agent, agents, fine, line
from deployer.clock import run
from deployer.noted import OK, noted
from deployer.simulated import Simulated
from slipway.deploy.agent import disk, releases, staging
from slipway.deploy.errors import DeployError, Divided, Refused
from slipway.deploy.rollout import pending_verdicts
from slipway.deploy.rollout.commit import Commit
from slipway.deploy.rollout.plan import Options, Target, plan
from slipway.deploy.rollout.rollout import Rollout
from slipway.deploy.rollout.target import image_of
from slipway.deploy.ssh.connection import encoded


def taken_back(fleet, ends):
    """Return the error of a deploy that failed; `ends`: host → its state after the takeback, or None if it was lost."""

    async def take_back(cause):
        return ends

    team = SimpleNamespace(hosts=SimpleNamespace(take_back=take_back))
    return run(Rollout(fleet, [], None, "deploy", "v2")._taken_back(team, DeployError("it broke"), "v2"))


@pytest.mark.parametrize(
    "tags, message",
    [
        ([None, None], "no release is live yet, as before"),
        (["v1", "v1"], "the old release serves everywhere"),
        (
            ["v1", "v2", "v1", None],
            "hosts differ as before (v1 on web0, web2; v2 on web1; no release on web3) until a deploy succeeds",
        ),
    ],
)
def test_what_serves_after_a_takeback(fleet, tags, message):
    error = taken_back(fleet, {f"web{number}": {"tag": tag, "attempt": False} for number, tag in enumerate(tags)})
    cure = "correct the cause, then deploy again"
    assert str(error) == f"it broke\ntaken back: {message}; {cure}" and error.exit_code == 1


def test_the_digest_that_a_rollback_goes_to_is_known_of_any_host():
    """A host added later pulls the digest that another host committed. REVERT has no digest, but its record has."""
    release = {"tag": "v1", "image_id": "sha256:1"}
    record = {**release, "digest": "sha256:d"}
    assert (
        image_of(record, {"history": []})
        == image_of(release, {"history": [record]})
        == {"image_id": "sha256:1", "digest": "sha256:d"}
    )
    assert image_of(release, {"history": []}) == {"image_id": "sha256:1", "digest": ""}


VERDICTS = {"incompatible": {}, "unjudged": [], "cure": ""}


def played(
    fleet,
    verdicts=lambda name: VERDICTS,
    target=Target("deploy", "v2", judge="web1"),
    tag="v2",
    tell=None,
    options=Options(),
    **extra,
):
    """Play a rollout without failures; return the steps done, and the plan. `more`: for Rollout."""
    done = []

    async def do(group):
        done.extend((step.name, step.args) for step in group)
        return {(step.name, name): verdicts(name) for step in group if step.name == "verdicts" for name in step.hosts}

    async def nothing(*words):
        return {}

    rollout = Rollout(fleet, [], tell, target.action, tag, options, **extra)
    rollout._end = nothing
    groups = plan(fleet, fleet.app_hosts, target, options, {"id": "1", "who": "ann"})
    hosts = SimpleNamespace(lock=nothing, hosts=fleet.app_hosts, take_back=nothing)
    run(rollout._do(SimpleNamespace(steps=do, hosts=hosts), groups, target))
    return done, groups


@pytest.mark.parametrize("answer, migrates", [({"applied": True}, False), ({"applied": False}, True), ({}, True)])
def test_nothing_is_migrated_where_the_release_says_that_all_is_applied(fleet, answer, migrates):
    done, groups = played(fleet, lambda name: {**VERDICTS, **(answer if name == "web1" else {"applied": True})})
    assert done == [(step.name, step.args) for group in groups[:-2] for step in group if migrates or not step.where]
    assert [name for name, args in done if name == "migrate" or args.get("migrated")] == (
        ["migrate", "start"] if migrates else []
    )


PARTLY = [
    "hosts differ: part on web1; v1 on web2, work; this deploy brings all to part, or leaves them so if it fails",
    "on web1: closed",
]


@pytest.mark.parametrize(
    "action, tag, judge",
    [
        ("rollback", "", "web1"),
        ("rollback", "v0", "web1"),
        ("deploy", "v2", "web1"),
        ("deploy", "v0", "web1"),
        ("deploy", "v1", ""),
        ("deploy", "part", "web2"),
    ],
)
def test_every_move_to_another_release_is_judged(fleet, action, tag, judge):
    events, found = [], fine(fleet)
    found["facts"]["history"] = [{**record, "tag": "v0"} for record in found["facts"]["history"]] if tag == "v0" else []
    found["resolve"]["digest"] = "sha256:1"
    part = {**found, "facts": {**found["facts"], "tag": {"tag": "part", "image_id": "sha256:1"}, "notes": ["closed"]}}
    with agents(lambda host: Agent(part if "web1" in host and tag == "part" else found)):
        groups = run(Rollout(fleet, fleet.app_hosts, events.append, action, tag).plan())
    assert [step.hosts for group in groups for step in group if step.name == "verdicts"] == (
        [(judge,)] if judge else []
    )
    assert [event["text"] for event in events if event["event"] == "warning"] == (PARTLY if tag == "part" else [])


KEY, OLD_KEY, PLANTED = "KEY.0123abcd", "KEY.00000000", encoded(b"planted")


SOURCE = b"# the shop\nA=1\nB=1\nKEY_FILE=/run/secrets/" + KEY.encode() + b"\n"
REVERTED = b"OLD=1\nKEY_FILE=/run/secrets/" + OLD_KEY.encode() + b"\n"
RECORD = {"tag": "v1", "image_id": "sha256:1", "action": "deploy", "outcome": "committed", "version": 1}


@pytest.mark.parametrize("chosen", ["web1,web2,work", "web2"])
def test_a_host_that_was_replaced(fleet, tmp_path, chosen):
    """With --live it gets the other hosts' release, with their settings and secrets. What is staged there wins. Nothing
    shows a value. The other hosts' settings stay."""
    events, asked, found = [], [], fine(fleet)
    found["resolve"]["digest"] = "sha256:1"
    bare = {**found, "facts": {**found["facts"], "tag": None}}
    host = Simulated(tmp_path / "root")
    disk.write(host.env, SOURCE.decode())
    os.mkdir(host.secrets)
    disk.write(host.secret(KEY), "planted")
    disk.write(host.secret("KEY.ffffffff"), "an old one")
    disk.write(host.secret(OLD_KEY), "planted")
    disk.write(host.revert_env, REVERTED.decode())
    disk.write(host.log, releases.log_line(RECORD))
    given = {"web2": {"settings": encoded(b"# first\n"), "staged": encoded(b"B=2\n"), "services": []}}

    def agent(address):
        name = address.rpartition("@")[2].partition(".")[0]

        def note(message):
            asked.append((name, message["do"], message["args"]))

        def settings(message):
            answer = given.get(name) or staging.read_settings(host, **message["args"])
            return [line({"id": message["id"], "ok": answer})]

        return Agent(
            bare if name == "web2" else found,
            {"read_settings": settings, "stage": note, "keep": note, "inherit": note, "begin": note},
        )

    disk.write(host.next_env, SOURCE.decode().replace("A=1", "A=2"))  # goes live if web1 is deployed, too
    with agents(agent):
        run(Rollout(fleet, fleet.chosen(chosen), events.append, "deploy").plan())
        assert "verdicts" not in str(events), "it has no migration that the live release lacks"
        run(Rollout(fleet, fleet.chosen(chosen), events.append, "deploy").run())
    assert {args["tag"] for _, do, args in asked if do == "begin"} == {"v1"}
    text = encoded(SOURCE.replace(b"B=1", b"B=2").replace(b"A=1", b"A=2" if "web1" in chosen else b"A=1"))
    reverted = encoded(REVERTED + (b"A=2\n" if "web1" in chosen else b""))  # web1's staged change goes live there
    assert [(name, do, args) for name, do, args in asked if do != "begin"] == [
        ("web2", "inherit", {"records": [RECORD], "files": {KEY: PLANTED, OLD_KEY: PLANTED}, "reverted": reverted}),
        ("web2", "stage", {"settings": text, "files": {KEY: PLANTED, OLD_KEY: PLANTED}}),
        ("web2", "keep", {"files": [OLD_KEY, KEY]}),
    ]
    assert (
        [event["text"] for event in events if "settings" in event.get("text", "")] == ["web2 gets the settings of web1"]
        and "planted" not in str(events)
        and PLANTED not in str(events)
    )


@pytest.mark.parametrize("chosen", ["", "web2"])
def test_the_live_release_must_be_one(fleet, chosen):
    """Of all hosts: a chosen one may come back with an older release."""
    found = fine(fleet)
    for tags, said in ((("v1", "v2"), "v1, v2"), ((None, None), "none")):
        other, first = (
            {**found, "facts": {**found["facts"], "tag": tag and {"tag": tag, "image_id": "sha256:1"}}} for tag in tags
        )
        with (
            agents(lambda host: Agent(first if "web1" in host else other)),
            pytest.raises(Refused, match=f"hosts have {said}: "),
        ):
            run(Rollout(fleet, fleet.chosen(chosen), print, "deploy").plan())


NEWS = noted(dict.fromkeys(("shop.0001", "shop.0002", "slipway_blobs.0001_files"), OK))


UNKNOWN = (
    "the verdicts on its migrations are unknown: registry.example/shop:v2 is not on this machine, or has none,"
    " or the live release is the first"
)


@pytest.mark.parametrize(
    "live, image, reported",
    [
        ("[X]  shop.0001\n", {"postgresql": NEWS, "sqlite": NEWS}, ["shop.0002 on postgresql: ok"]),
        (
            "[X]  shop.0001\n[X]  slipway_blobs.0000\n",
            {"postgresql": NEWS},
            ["shop.0002 on postgresql: ok", "slipway_blobs.0001_files on postgresql: ok"],
        ),
        ("[X]  shop.0001\n", {}, [UNKNOWN]),
        ("[X]  shop.0001\n", {"sqlite": NEWS}, [UNKNOWN]),
        ("", {"postgresql": NEWS}, [UNKNOWN]),
    ],
)
def test_a_plan_shows_the_verdicts_on_new_migrations(fleet, monkeypatch, live, image, reported):
    """Those of the app that stores uploads in the database are new only if the live release has this app."""
    monkeypatch.setattr(pending_verdicts.verdicts, "in_image", lambda docker, name: image)
    events, found = [], fine(fleet)
    found["facts"]["plan"] = live
    with agents(lambda host: Agent(found)):
        run(Rollout(fleet, fleet.app_hosts, events.append, "deploy", "v2").plan())
    assert [event["text"] for event in events if event["event"] == "progress"][1:] == reported


BREAKS = {**VERDICTS, "incompatible": {"shop.0002_note": "NOT NULL (shop_order.note)"}}


@pytest.mark.parametrize(
    "tag, answer, allowed, refused",
    [
        ("", BREAKS, False, True),
        ("", BREAKS, True, False),
        ("v0", BREAKS, False, True),
        ("", {**BREAKS, "incompatible": {}, "unjudged": ["shop.0002_note"]}, False, False),
        ("v0", {**BREAKS, "incompatible": {}, "unjudged": ["shop.0002_note"]}, False, True),
    ],
)
def test_what_a_rollback_lets_pass_is_a_line(fleet, tag, answer, allowed, refused):
    events, target = [], Target("rollback", "v0", judge="web1")
    with pytest.raises(Refused, match=r"shop.0002_note") if refused else contextlib.nullcontext():
        done = played(fleet, lambda name: answer, target, tag, events.append, Options(allow_incompatible=allowed))[0]
        assert dict(done)["begin"].get("allow_incompatible", False) is allowed
    told = [event["text"] for event in events if event["event"] == "warning"]
    assert len(told) == (not refused) and all("shop.0002_note" in text for text in told)
    assert not allowed or "NOT NULL (shop_order.note)" in told[0]


def test_the_live_release_is_as_careful_as_any(fleet):
    """With --live there is no tag either, but only a rollback without one is urgent."""
    with pytest.raises(Refused, match=r"^it is unknown if the older release can work with the applied migrations: why"):
        played(fleet, lambda name: {**VERDICTS, "unknown": "why"}, Target("deploy", "v1", judge="web1"), tag="")


@pytest.mark.parametrize(
    "place, existing, message",
    [
        ("database", "local", "media in the servers' file is database, but this release stores uploads as local"),
        ("bucket", "bucket", ""),
        ("bucket", "", ""),
        ("none", "local", ""),
        ("HOSTS", "bucket", ""),
    ],
)
def test_uploads_in_another_place_than_the_servers_file_says(fleet, place, existing, message):
    events = []
    fleet = replace(fleet, by_variables=True) if place == "HOSTS" else replace(fleet, media=place)
    played(fleet, lambda name: {**VERDICTS, "media": existing}, tell=events.append)
    told = [event["text"] for event in events if event["event"] == "warning"]
    assert len(told) == bool(message) and message in "".join(told)


@pytest.mark.parametrize(
    "state, kind, message",
    [
        ("back", DeployError, "taken back: every host is as it was"),
        (None, Divided, "taken back, but web2 can't be reached: each goes back by itself within 30 s of losing"),
        ("stuck", Divided, "web2: could not be taken back completely, see slipway status"),
    ],
)
def test_a_host_that_is_lost_on_the_way_is_asked(fleet, state, kind, message):
    ends = {"web1": {"tag": "v1", "attempt": False}, "web2": None}
    with mock.patch.object(Commit, "ask_states", return_value={"web2": state}) as ask_states:
        error = taken_back(fleet, ends)
    ask_states.assert_called_once_with(["web2"], False, "it broke")
    assert type(error) is kind and str(error).startswith(f"it broke\n{message}")


def test_the_summary_counts_until_the_commit(fleet):
    """A host whose watch has ended waits for others': what its visitors meet meanwhile counts."""
    events, watched = [], {"answers": 3, "errors": 0, "speeds": [None, None]}
    answers = {**fine(fleet), "watch": watched}
    late = {**answers, "commit": {"seen": {**watched, "answers": 5, "errors": 1}}}
    options = Options(allow_dirty=True)
    with agents(lambda host: Agent(late if "web2" in host else answers)):
        run(Rollout(fleet, fleet.app_hosts, events.append, "deploy", "v2", options).run())
    assert events[-1]["answers"]["web2"]["errors"] == 1
    assert " s, 11 requests seen, 1 errors)" in events[-1]["text"]
