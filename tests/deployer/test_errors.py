"""`make errors`: how errors are grouped, how an agent finds them by a stand-in for journalctl, and what people read."""

import asyncio
import contextlib
import copy
import json
import os
import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployer.agents import Agent, agents, fine, line
from deployer.simulated import Simulated
from deployer.test_hostile import CONTROL
from deployer.test_logs import entry, record
from deployer.test_validate import JSON, told
from proc import executable, put
from slipway.deploy import __main__
from slipway.deploy.agent import certificates, disk, groups, releases, takeback, timers
from slipway.deploy.agent import errors as agent_errors
from slipway.deploy.agent.errors import EXITED, RESTARTS
from slipway.deploy.agent.groups import error
from slipway.deploy.commands import errors as command
from slipway.deploy.errors import DeployError, Refused
from slipway.deploy.log import errors
from slipway.deploy.screen import text_tables
from slipway.deploy.ssh import child, validate

SINCE = 1795680000.0


def failed(message="'a'", line="31", **more):
    """Return what a record of a KeyError has, in the visitor's message even a traceback."""
    text = f"Traceback (most recent call last):\n  …\nKeyError: {message}"
    return {
        "exception": text,
        "raised": {"type": "KeyError", "file": "/app/orders/views.py", "line": line, "function": "detail", **more},
    }


def id_of(**fields):
    return groups.in_record(1, "web", fields)["id"]


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
    told = groups.in_record(
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
    foreign = groups.in_record(1, "web", dict.fromkeys(("exception", "message", "path", "logger"), "é" * 99_999))
    assert len(json.dumps(foreign)) < child.LONGEST / groups.MOST, "a host's answer is one line"
    assert groups.in_record(1, "web", {"exception": "KeyError"})["text"] == "KeyError", "of a formatter of one's own"
    bare = {**failed(), "exception": "Traceback (most recent call last):\nKeyError"}
    assert groups.in_record(1, "web", bare)["message"] == ""
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


def found(*errors, tag=""):
    """Return the groups of a host where v2 is live, which v1 brought back."""
    made = {}
    for id in groups.count(made, errors, SINCE, "v2", {"v1", "v2"}, tag):
        if id in made:
            made[id]["known"] = True
    return [*made.values()]


@example({"request_id": "9" * 64}, SINCE)
@example({"message": "1-\n" * 99_999, "raised": {"file": "x" * 99_999}, "exception": "x" * 99_999}, SINCE)
@given(
    st.dictionaries(st.sampled_from(["logger", "message", "exception", "release", "request_id", "raised"]), JSON),
    st.floats(SINCE, 2e9),
)
def test_a_hostile_record_is_only_counted(fields, at):
    text = json.dumps({"groups": found(groups.in_record(at, "web", fields)), "known": [], "since": SINCE})
    assert len(text) < child.LONGEST / groups.MOST and validate.mismatch(json.loads(text), agent_errors.Found) == ""
    for group in errors.merged({"web1": validate.seen(json.loads(text))}):
        assert not CONTROL.search("".join(errors.head(group).split("\n"))) and "\n" not in groups.brief([group])
        *_, copied = errors.whole({**group, "latest": [*group["latest"], (1, "$(x)", "", "")]})
        assert re.fullmatch(r'make logs ARGS="[\w :\'=-]+"', copied, re.A), "safe in a shell"


@pytest.mark.parametrize(
    "hits, more, count, known",
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
def test_what_counts_and_what_is_new(hits, more, count, known):
    made = found(*(error(SINCE + at, "web", ("k",), "x", visit=("", "", tag)) for at, tag in hits), **more)
    assert [(group["count"], group["known"]) for group in made] == ([(count, known)] if count else [])


@pytest.mark.parametrize("order", [1, -1])
def test_of_a_group_the_newest_is_shown(order):
    made = {}
    for at in [*range(9)][::order]:
        groups.put(
            made,
            error(
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
        groups.put(made, error(0, "web", ("k",), "x", visit=("", "", f"v{number + 30}")))
    assert len(made[one["id"]]["releases"]) == 20, "a host's answer does not grow without end"


def test_groups_are_limited():
    many = [error(SINCE + number, "web", (str(number),), "x") for number in range(groups.MOST + 7)]
    *_, last, more = found(*many)
    assert (last["count"], more["count"], more["title"]) == (1, 7, groups.MORE)


@pytest.fixture
def host(tmp_path, stub, monkeypatch):
    """host(new, old): a host with v2 live, whose journal has these entries since the window began, and before it."""
    monkeypatch.setattr(agent_errors, "ENVIRONMENT", {"PATH": os.environ["PATH"]})
    made = Simulated(tmp_path / "root")
    disk.write(made.tag, "export TAG=v2\nexport IMAGE_ID=1\n")
    disk.write(
        made.log,
        "".join(
            releases.line(
                {"tag": tag, "image_id": "1", "action": action, "outcome": "committed", "at": at, "seconds": 10}
            )
            for tag, at, action in (
                ("v0", 5, "deploy"),
                ("v1", 700, "deploy"),
                ("v2", SINCE + 10, "deploy"),
                ("v2", SINCE + 20, "restart"),
            )
        ),
    )

    def prints(new, old=(), script='case "$*" in *--until*) cat "$0.old" ;; *) cat "$0.new" ;; esac'):
        for name, lines in (("new", new), ("old", old)):
            put(stub / f"journalctl.{name}", "".join(f"{json.dumps(line)}\n" for line in lines))
        executable(stub / "journalctl", f'#!/bin/sh\nprintf "%s\\n" "$*" >>"$0.asked"\n{script}\n')
        return made

    return prints


def systemd(kind, at, role="worker@a", **more):
    return {**entry("x", SINCE + at, "systemd"), "MESSAGE_ID": kind, "UNIT": f"shop-{role}.service", **more}


def test_an_agent_finds_errors(host, stub, monkeypatch):
    """Of processes, of nginx, and of what systemd says; not of visitors' texts in nginx's log, nor of a request that
    another host has answered. What the release before had, too, is not new."""
    monkeypatch.setattr(timers, "schedules", lambda host: {"digest": "daily"})
    monkeypatch.setattr(time, "time", lambda: SINCE + 9)
    broken, visit = record(**failed(), release="v2"), {"status": 503, "app_status": "502, 502"}
    made = host(
        [
            entry(broken, SINCE + 1),
            entry(broken.replace("31", "32"), SINCE + 2, "shop-web-b"),
            entry(record(level="INFO", job={"level": "error"}), SINCE),
            entry(broken, SINCE, "other-web-a"),
            entry(json.dumps(visit), SINCE, "shop_nginx"),
            entry('{"app_status":"500"}', SINCE, "shop_nginx"),
            *(
                entry(text, SINCE + 5)
                for text in (
                    "\x1b[2m2026\x1b[0m [\x1b[31merror    \x1b[0m] sold",
                    "Traceback (most recent call last):",
                    '{"event": "sold", "level": "error"}',
                    "12:31 [info] sold",
                    '{"event": "x", "level": "info"}',
                )
            ),
            *(
                entry(text, SINCE, "shop_nginx")
                for text in (
                    '{"host_status": "502, 200"}',
                    '{"level": "ERROR", "message": "a visitor',
                    record(release="v2"),
                )
            ),
            *(systemd(RESTARTS, 2, role) for role in ("x", "beat")),
            systemd(EXITED, 3, EXIT_STATUS="137"),
            systemd(RESTARTS, 4),
            systemd(EXITED, 5, EXIT_STATUS="1"),
            systemd(EXITED, 6, "digest", EXIT_STATUS="37"),
            systemd(RESTARTS, 6, "digest"),
            entry([*record(message="big " * 9999, release="v2")[:9000].encode()], SINCE + 7, "shop-worker-a"),
        ],
        [
            entry(record(**failed(line="7"), release="v1"), SINCE - 5),
            entry(record(message="big " * 99, release="v1x"), SINCE - 5),
        ],
    )  # it was taken back
    put(made.etc, "IMAGE=shop\nMEMORY=400m\n")
    told = {
        (group["title"], group["message"][:60]): (group["count"], group["known"])
        for _ in range(2)
        for group in agent_errors.find(copy.copy(made))["groups"]
    }
    assert told == {
        ("KeyError", "'a'"): (2, True),
        ("nginx", "502 Bad Gateway"): (1, False),
        ("worker", "ended by signal 9, perhaps at its memory limit of 400 MB"): (1, False),
        ("beat", "ended with exit code 0"): (1, False),
        ("digest", "ended with exit code 37"): (1, False),
        ("digest", "overdue, as its timer is None"): (1, False),
        ("shop", ("big " * 15)[:60]): (1, False),
        ("web", agent_errors.OTHER_FORM[:60]): (3, False),
    }
    asked = (stub / "journalctl.asked").read_text().splitlines()
    assert ["--since=@1795680000.0" in asked[0], "--since=@700.0" in asked[1], len(asked)] == [True, True, 3]
    assert "|^[^{]*(Traceback " in asked[0]
    assert "overdue" not in str(agent_errors.find(made, tag="v2")), "a deploy is not to blame"
    os.remove(made.log)
    assert not any(group["known"] for group in agent_errors.find(made, SINCE)["groups"]), "as a balancer"


def test_from_when_errors_count(host, stub):
    """An agent asks what is new only if there is an error, on this host or another one. After a rollback, both releases
    before count, from when they first were live. A balancer knows no release: it is told a time."""
    made = host([])
    for words, since in (({}, SINCE), ({"tag": "v1"}, 690), ({"since": 9.0}, 9), ({"tag": "v9"}, None)):
        assert agent_errors.find(made, **words) == {"groups": [], "known": [], "since": since}
    assert agent_errors.find(made, -60)["since"] == pytest.approx(time.time() - 60, abs=30)
    asked = (stub / "journalctl.asked").read_text()
    assert asked.count("\n") == 4 and " --since=@690.000000 --until=@1795680010.000000 " in asked
    releases.append(
        made,
        {"tag": "v3", "image_id": "1", "action": "deploy", "outcome": "taken back", "at": SINCE + 90, "seconds": 9},
    )
    assert agent_errors.find(made, tag="v3")["since"] == SINCE + 81, "of a release that was taken back, too"
    assert f"--until=@{SINCE + 90:.6f}" in (stub / "journalctl.asked").read_text().splitlines()[-1]
    made, old = host([], [entry(record(**failed(), release="v1"))]), id_of(**failed())
    assert agent_errors.find(made, also=[old, "0" * 8])["known"] == [old]
    releases.append(
        made,
        {"tag": "v1", "image_id": "1", "action": "rollback", "outcome": "committed", "at": SINCE + 500, "seconds": 10},
    )
    assert agent_errors.times(made, "v1") == (700, SINCE + 490, None, {"v1", "v2"})


def test_a_journal_of_nonsense(host):
    """Malformed lines cost nothing else; a search that does not end is ended."""
    texts = ('{"level": "ERROR"', "\x1b[2J", "[" * 9000, None, [255], '{"level": "ERROR"}')
    made = host([entry(text, SINCE + 1) for text in texts] * 800, script='printf "{\\n[1]\\n\\0\\377\\n"; cat "$0.new"')
    assert [group["count"] for group in agent_errors.find(made, since=SINCE + 1)["groups"]] == [1600]
    with pytest.raises(agent_errors.Problem, match=r"^the journal could not be searched within 0.1 s"):
        agent_errors.find(host([], script="exec sleep 60"), seconds=0.2)
    slow = 'case "$*" in *--until*) exec sleep 60 ;; *) cat "$0.new" ;; esac'
    made = host([entry(record(release="v2"), SINCE)], script=slow)
    assert not agent_errors.find(made, seconds=2)["groups"][0]["known"], "what cannot be searched in time counts as new"


@pytest.mark.parametrize(
    "script, said",
    [
        ("exit 1", ""),
        ('cat "$0.new"; kill -9 $$', "exit code (137|-9)"),
        ("exit 127", "exit code 127"),
        ("echo 'Failed to open it: No room' >&2; exit 1", "Failed to open it: No room$"),
        ("echo 'Journal file /x.journal~ is truncated, ignoring file.' >&2; exit 1", ""),
    ],
)
def test_a_journal_that_cannot_be_searched_is_no_good_news(host, script, said):
    """journalctl exits with 1, and says nothing, if no entry fits. It warns, for months, of a file that a power cut has
    spoiled: that hides no other file's entries."""
    made = host([entry(record(release="v2"), SINCE)], script=script)
    with (
        pytest.raises(agent_errors.Problem, match="^the journal could not be searched: journalctl: " + said)
        if said
        else contextlib.nullcontext()
    ):
        assert not agent_errors.find(made)["groups"]


def test_a_takeback_by_max_errors_names_the_new_errors(host, stub, monkeypatch):
    """Only then, after all else, and in seconds: a search may be slow. One that fails disturbs no takeback, which says
    so."""
    executable(stub / "timeout", '#!/bin/sh\necho $1 >>"$0.asked"\nexec /usr/bin/timeout "$@"\n')
    made = host([entry(record(**failed(), release="v3"), time.time() + 9)] * 12)
    causes = [f"web1: watch: of {number} answers to visitors 12 were errors" for number in (40, 50)]
    monkeypatch.setenv("SERVICE_RESULT", "watchdog")
    for cause in ("", "web1: migrate:\n exit 1", *causes):
        takeback.note_failure(
            made, {"id": cause, "tag": "v3", "action": "deploy", "started": time.monotonic(), "cause": cause}
        )
        if cause == causes[0]:
            monkeypatch.setattr(agent_errors, "ENVIRONMENT", {"PATH": "/none"})
    table = text_tables.history({name: {"records": releases.read_log(made)[0]} for name in ("web1", "web2")})
    assert [line for line in table.split("\n") if line.startswith(" ")] == [
        "    the deployer fell silent",
        "    web1: migrate: exit 1",
        f"    {causes[0]}; 1 new error: KeyError orders/views.py:31 detail, 12 times",
        f"    {causes[1]}; which errors is unknown: [Errno 2] No such file or directory: 'timeout'",
    ]
    assert {*(stub / "timeout.asked").read_text().split()} == {"2.5"}


def run(fleet, *words):
    asyncio.run(command.handle(fleet, __main__.parse(["errors", *words])))


def answer(message, host, asked):
    asked.append((host, message["args"]["since"]))
    told = [
        groups.in_record(
            SINCE + at,
            "web",
            {**failed(line=str(at)), "release": "v2", "method": "GET", "path": f"/{at}/", "request_id": f"5f0c7d{at}"},
        )
        for at in (40, 41)
    ]
    told += [error(SINCE + 50, "beat", ("e",), "beat", "", "ended\x1b[2J")] * 4 if host == "work" else []
    known = [id_of(**failed())] if host == "web2" and message["args"].get("also") else []
    since = {"front": None, "web2": SINCE + 1}.get(host, SINCE)
    return [line({"id": message["id"], "ok": {"groups": found(*told), "known": known, "since": since}})]


def test_groups_of_all_hosts(fleet, capsys):
    asked = []

    def said(*words):
        run(fleet, *words)
        return capsys.readouterr().out

    with agents(lambda host: Agent(fine(fleet), {"errors": lambda message: answer(message, host, asked)})):
        out = said().splitlines()
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
        whole = said(out[2][:8])
        assert whole.startswith(out[2]) and failed()["exception"].replace("\n", "\n  ") in whole
        assert whole.endswith('make logs ARGS="--request=5f0c7d41"\n') and whole.count(" v2 GET /4") == groups.LATEST
        assert "\n  make logs ARGS=\"--since '202" in said(out[0][:8])
        assert said("--all") and asked[-5][1] == 0
        with pytest.raises(Refused, match=r"^there is no group '9'"):
            run(fleet, "9")
    for words in ((), ("--release", "v9")):
        with agents(lambda host: None), pytest.raises(DeployError, match=r"^errors are unknown on front, web1"):
            run(fleet, *words)
    nothing = {**fine(fleet), "errors": {"groups": [], "known": [], "since": None}}
    with agents(lambda host: Agent(nothing)), pytest.raises(Refused, match=r"^v9 was never deployed"):
        run(fleet, "--release", "v9")
    amiss = {"errors": lambda message: [line({"id": message["id"], "problem": "no journal", "more": {}})]}
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
    error, out = told(
        fleet,
        {
            "errors": lambda message: (
                answer(message, "web1", asked) if tells else [line({"id": message["id"], "ok": {}})]
            ),
            step: lambda message: [line({"id": message["id"], "problem": "no room", "more": {}})],
        },
    )
    assert [-9 < since < 0 for _, since in asked] == [True] * 6 * tells, "once more, of what is new"
    new = "1 new error: KeyError orders/views.py:41 detail, 6 times: see make errors\n"
    if not tells:
        new = (
            "new errors are unknown on web1, web2, work: sends an invalid answer (errors.ok.groups is missing): "
            "check this host\n"
        )
    assert f"no room\n{new}taken back" in str(error) if step else re.search(rf"errors\)\n( *{re.escape(new)})?$", out)


def test_a_certificate_that_has_ended(monkeypatch):
    served = {"ends": {"old.example": 86400.0, "new.example": 3 * 86400.0}, "now": 2 * 86400.0}
    monkeypatch.setattr(certificates, "served", lambda host: served)
    assert [(group["title"], group["message"].partition(":")[0]) for group in agent_errors.expired(None)] == [
        ("nginx", "the certificate of old.example ended on 1970-01-02")
    ]
