"""`slipway errors`: how errors are grouped, how an agent finds them by a stand-in for journalctl, what people read."""

import asyncio
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployer.agents import Agent, agents, fine, line
from deployer.failures import SINCE, failed, id_of
from deployer.test_hostile import CONTROL
from deployer.test_validate import JSON, outcome_of
from slipway.deploy import __main__
from slipway.deploy.agent import certificates, groups
from slipway.deploy.agent import errors as agent_errors
from slipway.deploy.agent.groups import group_of_error
from slipway.deploy.commands import errors as command
from slipway.deploy.errors import DeployError, Refused
from slipway.deploy.log import errors
from slipway.deploy.ssh import child, validate


@pytest.mark.parametrize(
    "fields, same",
    [
        (failed("'b'", "99"), True),
        (failed('\n  File "/app/x.py", line 1, in x\nOSError: 3'), True),
        (failed(function="list"), False),
        (failed(file="/app/shop/views.py"), False),
        (failed(type="OSError"), False),
        ({"message": "KeyError: 'a'"}, False),
        ({"exception": failed()["exception"]}, False),
    ],
)
def test_one_exception_at_one_function_is_a_group(fields, same):
    """Neither the line nor the message counts, so that a release makes no group new by a line more."""
    assert (id_of(**fields) == id_of(**failed())) is same


def test_what_a_group_says():
    told = groups.group_of_record(
        1,
        "web",
        {
            **failed("no\nmore"),
            "method": "GET",
            "path": "/orders/3/",
            "message": "x",
            "request_id": "5f0c7d1e",
            "release": "v2",
        },
    )
    assert (told["title"], told["place"], told["message"], told["latest"]) == (
        "KeyError",
        "orders/views.py:31 detail",
        "no",
        [(1, "5f0c7d1e", "GET /orders/3/", "v2")],
    )
    foreign = groups.group_of_record(1, "web", dict.fromkeys(("exception", "message", "path", "logger"), "é" * 99_999))
    assert len(json.dumps(foreign)) < child.LONGEST / groups.MOST, "a host's answer is one line"
    assert groups.group_of_record(1, "web", {"exception": "KeyError"})["text"] == "KeyError", (
        "of a formatter of one's own"
    )
    bare = {**failed(), "exception": "Traceback (most recent call last):\nKeyError"}
    assert groups.group_of_record(1, "web", bare)["message"] == ""
    first, second, other = (
        id_of(logger="shop", message=text)
        for text in (
            "/a/1 failed: 3 of order 0f3a4c5d6e7f8a9b",
            "/b failed: 12 of order 77",
            "beat failed: 12 of order 77",
        )
    )
    assert first == second != other
    one, two = (
        id_of(logger="shop", message_template="no mail to %s", message=f"no mail to {name}")
        for name in ("ann@shop.example", "bob@shop.example")
    )
    assert one == two != first, "values make no group"


def counted(*errors, tag=""):
    """Return the groups of a host where v2 is live, which v1 brought back."""
    made = {}
    for id in groups.add_errors(made, errors, SINCE, "v2", {"v1", "v2"}, tag):
        if id in made:
            made[id]["seen_before"] = True
    return [*made.values()]


@example({"request_id": "9" * 64}, SINCE)
@example({"message": "1-\n" * 99_999, "raised": {"file": "x" * 99_999}, "exception": "x" * 99_999}, SINCE)
@given(
    st.dictionaries(st.sampled_from(["logger", "message", "exception", "release", "request_id", "raised"]), JSON),
    st.floats(SINCE, 2e9),
)
def test_a_hostile_record_is_only_counted(fields, at):
    text = json.dumps({"groups": counted(groups.group_of_record(at, "web", fields)), "seen_before": [], "since": SINCE})
    assert (
        len(text) < child.LONGEST / groups.MOST and validate.mismatch(json.loads(text), agent_errors.ErrorGroups) == ""
    )
    for group in errors.merge_groups({"web1": validate.make_visible(json.loads(text))}):
        assert not CONTROL.search("".join(errors.group_lines(group).split("\n"))) and "\n" not in groups.summary(
            [group]
        )
        *_, copied = errors.group_details({**group, "latest": [*group["latest"], (1, "$(x)", "", "")]})
        assert re.fullmatch(r"slipway logs [\w :\'=-]+", copied, re.A), "safe in a shell"


@pytest.mark.parametrize(
    "hits, extra, count, is_known",
    [
        ([(5, "v2")], {}, 1, False),
        ([(5, "v2"), (-9, "v1")], {}, 2, True),
        ([(5, "v1")], {}, 1, True),
        ([(5, ""), (-9, "")], {}, 2, True),
        ([(5, "v1"), (6, "v2")], {"tag": "v2"}, 1, True),
        ([(5, "v2"), (6, "")], {"tag": "v2"}, 2, False),
        ([(5, "v3")], {}, 1, False),
    ],
)
def test_what_counts_and_what_is_new(hits, extra, count, is_known):
    made = counted(*(group_of_error(SINCE + at, "web", ("k",), "x", visit=("", "", tag)) for at, tag in hits), **extra)
    assert [(group["count"], group["seen_before"]) for group in made] == ([(count, is_known)] if count else [])


@pytest.mark.parametrize("order", [1, -1])
def test_of_a_group_the_newest_is_shown(order):
    made = {}
    for at in [*range(9)][::order]:
        groups.add_group(
            made,
            group_of_error(
                at,
                "web",
                ("k",),
                "x",
                f"f.py:{at}",
                text="" if at == 8 else f"trace {at}",
                visit=("", str(at), f"v{at + 10}"),
            ),
        )
    [one] = made.values()
    assert (one["place"], one["first"], one["last"], one["count"]) == ("f.py:8", 0, 8, 9)
    assert [visit[0] for visit in one["latest"]] == [4, 5, 6, 7, 8] and one["text"].startswith("trace ")
    for number in range(20):
        groups.add_group(made, group_of_error(0, "web", ("k",), "x", visit=("", "", f"v{number + 30}")))
    assert len(made[one["id"]]["releases"]) == 20, "a host's answer does not grow without end"


def test_groups_are_limited():
    many = [group_of_error(SINCE + number, "web", (str(number),), "x") for number in range(groups.MOST + 7)]
    *_, last, more = counted(*many)
    assert (last["count"], more["count"], more["title"]) == (1, 7, groups.MORE)


def run(fleet, *words):
    asyncio.run(command.handle(fleet, __main__.parse(["errors", *words])))


def answer(message, host, asked):
    asked.append((host, message["args"]["since"]))
    told = [
        groups.group_of_record(
            SINCE + at,
            "web",
            {**failed(line=str(at)), "release": "v2", "method": "GET", "path": f"/{at}/", "request_id": f"5f0c7d{at}"},
        )
        for at in (40, 41)
    ]
    told += [group_of_error(SINCE + 50, "beat", ("e",), "beat", "", "ended\x1b[2J")] * 4 if host == "work" else []
    known = [id_of(**failed())] if host == "web2" and message["args"].get("also") else []
    since = {"front": None, "web2": SINCE + 1}.get(host, SINCE)
    return [line({"id": message["id"], "ok": {"groups": counted(*told), "seen_before": known, "since": since}})]


def test_a_release_that_is_no_tag(fleet):
    with pytest.raises(Refused, match=r"^'v 9' is not a valid tag"):
        run(fleet, "--release", "v 9")


def test_groups_of_all_hosts(fleet, capsys):
    asked = []

    def printed(*words):
        run(fleet, *words)
        return capsys.readouterr().out

    with agents(lambda host: Agent(fine(fleet), {"errors": lambda message: answer(message, host, asked)})):
        out = printed().splitlines()
        assert {since for _, since in asked[:4]} == {None}
        assert sorted(asked[4:]) == [
            ("front", SINCE),
            ("root@web1.example", SINCE),
            ("web2", SINCE + 1),
            ("work", SINCE),
        ], "each since its own deploy, and a balancer, which knows none, since the first"
        assert out[0][8:] == " new beat: ended\\x1b[2J" and out[1].startswith("  4 x, ")
        assert out[2] == f"{id_of(**failed())} KeyError orders/views.py:41 detail: 'a'"
        assert "8 x, " in out[3] and ", web on front, web1, web2, work, v2" in out[3]
        whole = printed(out[2][:8])
        assert whole.startswith(out[2]) and failed()["exception"].replace("\n", "\n  ") in whole
        assert whole.endswith("slipway logs --request=5f0c7d41\n") and whole.count(" v2 GET /4") == groups.LATEST
        assert "\n  slipway logs --since '202" in printed(out[0][:8])
        assert printed("--all") and asked[-5][1] == 0
        with pytest.raises(Refused, match=r"^there is no group '9'"):
            run(fleet, "9")
    for words in ((), ("--release", "v9")):
        with agents(lambda host: None), pytest.raises(DeployError, match=r"^errors are unknown on front, web1"):
            run(fleet, *words)
    nothing = {**fine(fleet), "errors": {"groups": [], "seen_before": [], "since": None}}
    with agents(lambda host: Agent(nothing)), pytest.raises(Refused, match=r"^v9 was never deployed"):
        run(fleet, "--release", "v9")
    amiss = {"errors": lambda message: [line({"id": message["id"], "problem": "no journal", "details": {}})]}
    for words in ((), ("9",)):
        with (
            agents(lambda host: Agent(nothing, amiss if host == "work" else {})),
            pytest.raises(DeployError) as refused,
        ):
            run(fleet, *words)
        assert (str(refused.value), refused.value.exit_code, capsys.readouterr().out) == (
            "errors are unknown on work: no journal",
            1,
            "",
        ), "not `no errors`, nor that there is no such group"


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("step", ["", "ready"])
def test_a_deploy_names_its_new_errors(fleet, tells, step):
    """Those since its begin, also if a step fails. Of a host that does not tell them, they are unknown."""
    asked = []
    error, out = outcome_of(
        fleet,
        {
            "errors": lambda message: (
                answer(message, "web1", asked) if tells else [line({"id": message["id"], "ok": {}})]
            ),
            step: lambda message: [line({"id": message["id"], "problem": "no room", "details": {}})],
        },
    )
    assert [-9 < since < 0 for _, since in asked] == [True] * 6 * tells, "once more, of what is new"
    new = "1 new error: KeyError orders/views.py:41 detail, 6 times: see slipway errors\n"
    if not tells:
        new = (
            "new errors are unknown on web1, web2, work: sends an invalid answer (errors.ok.groups is missing): "
            "check this host\n"
        )
    assert f"no room\n{new}taken back" in str(error) if step else re.search(rf"errors\)\n( *{re.escape(new)})?$", out)


def test_a_certificate_that_has_ended(monkeypatch):
    served = {"ends": {"old.example": 86400.0, "new.example": 3 * 86400.0}, "now": 2 * 86400.0}
    monkeypatch.setattr(certificates, "expiries", lambda host: served)
    assert [
        (group["title"], group["message"].partition(":")[0]) for group in agent_errors.expired_certificates(None)
    ] == [("nginx", "the certificate of old.example ended on 1970-01-02")]
