"""`make errors`: how errors are grouped, how an agent finds them by a stand-in for journalctl, and what people read."""

import asyncio
import json
import os
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slipway.deploy import __main__
from slipway.deploy.agent import disk, errors as agent_errors, groups, releases, takeback
from slipway.deploy.agent.errors import EXITED, RESTARTS
from slipway.deploy.agent.groups import Groups
from slipway.deploy.commands import errors as command
from slipway.deploy.errors import DeployError, Refused
from slipway.deploy.log import errors
from slipway.deploy.rollout.rollout import Rollout
from slipway.deploy.screen import text_tables
from slipway.deploy.ssh import validate
from deployer.agents import Agent, agents, fine
from deployer.clock import run as simulated
from deployer.simulated import Simulated
from deployer.test_hostile import CONTROL
from deployer.test_logs import entry, record, visit
from proc import executable, put

SINCE = 1795680000.0
LIVE = {"since": SINCE, "until": None, "tag": "", "before": "v1", "back": None}
LIBRARY = '  File "/ve/lib/python3.13/site-packages/django/core/base.py", line 198, in _get_response\n    x()\n'


def traceback(file="/app/orders/views.py", line=31, function="detail", end="KeyError: 'a'"):
    own = f'  File "{file}", line {line}, in {function}\n    order = orders[key]\n            ~~~~~^\n'
    return f"Traceback (most recent call last):\n{LIBRARY}{own}{LIBRARY}{end}"


def key(**fields):
    return groups.in_record(1, "web", fields).key


RAISED = key(exception=traceback())


@pytest.mark.parametrize("fields, same", [
    ({"exception": traceback(line=99, end="KeyError: 'b'")}, True), ({"exception": traceback(function="list")}, False),
    ({"exception": traceback(file="/app/shop/views.py")}, False), ({"exception": traceback(end="OSError")}, False),
    ({"exception": traceback(end="KeyError: 'a\nTraceback'")}, True), ({"message": "KeyError: 'a'"}, False),
    ({"exception": traceback(function="save", end="OSError") + "\n\nDuring handling of …:\n\n" + traceback()}, True),
    ({"exception": "  + Exception Group Traceback (most recent call last):\n  |" + LIBRARY + "  | ExceptionGroup: two\n"
      "  +-+---------------- 1 ----------------\n"
      + "".join(f"    | {line}\n" for line in traceback().splitlines()) + "    +------\n"}, True)])
def test_one_exception_at_one_function_is_a_group(fields, same):
    """Neither the line nor the message counts, so that a release makes no group new by a line more."""
    assert (key(**fields) == RAISED) is same


def test_what_a_group_says():
    hit = groups.in_record(1, "web", {"exception": traceback(end="shop.errors.Odd: no\nmore"), "method": "GET",
                                      "path": "/orders/3/", "message": "x", "request_id": "5f0c7d1e", "release": "v2"})
    assert hit[3:9] == ("Odd", "orders/views.py:31 detail", "no", "v2", "5f0c7d1e", "GET /orders/3/")
    foreign = groups.in_record(1, "web", {"exception": f"Traceback (most recent call last):\n{LIBRARY}OSError\n"})
    assert (foreign.title, foreign.key[3]) == ("OSError", "_get_response")
    first, second, other = (key(logger="shop", message=text) for text in (
        "/a/1 failed: 3 of order 0f3a4c5d6e7f8a9b", "/b failed: 12 of order 77", "beat failed: 12 of order 77"))
    assert first == second != other


def found(*hits, window=LIVE, only=""):
    made = Groups(window, only)
    for hit in hits:
        made.add(hit)
    answer = {"groups": [*made.found.values()], "left": made.left}
    assert validate.mismatch(json.loads(json.dumps(answer)), agent_errors.Found) == ""
    return answer


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "b"]), inner))


@example({"exception": 'File "x", line 1, in y\n' * 9 + "| " * 99_999}, SINCE)
@example({"message": "1-" * 99_999, "exception": "Traceback (most recent call last):\n" + " " * 99_999}, SINCE)
@given(st.dictionaries(st.sampled_from(["logger", "message", "exception", "release", "request_id", "method"]), JSON),
       st.floats(0, 2e9))
def test_a_hostile_record_is_only_counted(fields, at):
    answer = found(groups.in_record(at, "web", fields), only="x")
    assert len(json.dumps(answer)) < 90_000
    for group in errors.merged({"web1": validate.seen(json.loads(json.dumps(answer)))}):
        first, *more = errors.head(group, 1, True).split("\n")
        assert first.startswith("1. ") and all(line.startswith("  ") for line in more)
        assert not CONTROL.search("".join([first, *more]))


def test_groups_are_limited():
    many = [groups.Hit(SINCE + number, "web", (str(number),), "x") for number in range(groups.MOST + 7)]
    answer = found(*many, many[0])
    assert (len(answer["groups"]), answer["left"], answer["groups"][0]["count"]) == (groups.MOST, 7, 2)


@pytest.mark.parametrize("hits, window, count, known", [
    ([(5, "v2")], {}, 1, False), ([(5, "v2"), (-9, "v1")], {}, 1, True), ([(5, "v1")], {}, 1, True),
    ([(5, ""), (-9, "")], {}, 1, True), ([(5, "v2"), (-9, "v0")], {}, 1, False), ([(-9, "v2")], {}, 0, False),
    ([(5, "v2"), (6, "v1"), (7, "")], {"tag": "v2"}, 2, True), ([(5, "v2"), (9, "v2")], {"until": SINCE + 7}, 1, False),
    ([(5, "v2"), (-9, "")], {"before": ""}, 1, False)])
def test_what_counts_and_what_is_new(hits, window, count, known):
    hits = [groups.Hit(SINCE + at, "web", ("k",), "x", release=tag) for at, tag in hits]
    made = found(*hits, window={**LIVE, **window})
    assert [(group["count"], group["known"]) for group in made["groups"]] == [(count, known)] * bool(count)


@pytest.fixture
def host(tmp_path, stub, monkeypatch):
    """host(new, old): a host whose journal has these entries since the window began, and before it."""
    monkeypatch.setattr(agent_errors, "ENVIRONMENT", {"PATH": f"{stub}:/usr/bin:/bin"})
    made = Simulated(tmp_path / "root")
    record = {"tag": "v1", "image_id": "1", "action": "deploy", "outcome": "committed", "at": 7}
    disk.write(made.log, releases.line(record))

    def prints(new, old=(), script='case "$*" in *--until*) cat "$0.old" ;; *) cat "$0.new" ;; esac'):
        for name, lines in (("new", new), ("old", old)):
            put(stub / f"journalctl.{name}", "".join(f"{json.dumps(line)}\n" for line in lines))
        executable(stub / "journalctl", f'#!/bin/sh\necho "$*" >>"$0.asked"\n{script}\n')
        return made
    return prints


def systemd(kind, at, **more):
    return {**entry("x", SINCE + at, "systemd"), "MESSAGE_ID": kind, "UNIT": "shop-worker@a.service", **more}


def test_an_agent_finds_errors(host, stub):
    """In the journal, in nginx's log and in what systemd says. What the release before had, too, is not new."""
    failed = record(exception=traceback())
    made = host([entry(failed, SINCE + 1), entry(failed.replace("31", "32"), SINCE + 2, "shop-web-b"),
                 entry(record(level="INFO", message='"level": "ERROR"'), SINCE), entry(failed, SINCE, "other-web-a"),
                 *(systemd(RESTARTS, 2, UNIT=unit) for unit in ("x.service", "shop-beat.service")),
                 systemd(EXITED, 3, EXIT_STATUS="137"), systemd(RESTARTS, 4), systemd(RESTARTS, 6),
                 entry(record(message="big " * 9999)[:9000], SINCE + 7, "shop-worker-a")],
                [entry(record(exception=traceback(line=7), release="v1"), SINCE - 5)])
    log = made.root + "/var/log/nginx/shop.access.log"
    put(log, visit(503, "2026-11-26T08:00:03+00:00", app_status="502, 502"))
    os.utime(log, (SINCE + 3, SINCE + 3))
    answer = agent_errors.find(made, {**LIVE, "since": SINCE})
    told = {(group["title"], group["message"][:40]): (group["count"], group["known"]) for group in answer["groups"]}
    assert told == {
        ("KeyError", "'a'"): (2, True), ("nginx", "answered 502 for the app"): (1, False),
        ("worker", "ended by signal 9, perhaps as memory was"): (1, False), ("shop", ("big " * 10)): (1, False),
        ("worker", "ended with exit code 0, and was started "): (1, False),
        ("beat", "ended with exit code 0, and was started "): (1, False)}
    asked = (stub / "journalctl.asked").read_text().splitlines()
    assert len(asked) == 2 and "--since=@7.0" in asked[1] and "--until=" in asked[1]


def test_what_is_new_is_asked_only_if_there_is_an_error(host, stub):
    assert agent_errors.find(host([]), LIVE) == {"groups": [], "left": 0}
    assert len((stub / "journalctl.asked").read_text().splitlines()) == 1


def test_a_takeback_by_max_errors_names_the_new_errors(host):
    """Only then, and after all else: a search may be slow. An odd log disturbs no takeback."""
    made = host([entry(record(exception=traceback(), release="v2"), time.time() + 9)] * 12)
    new = "; KeyError orders/views.py:31 detail, 12 times"
    for cause, tail in (("web1: watch: of 40 answers to visitors 12 were errors", new), ("web1: migrate: exit 1", "")):
        takeback.note_failure(made, {"id": cause, "tag": "v2", "action": "deploy", "started": time.monotonic(),
                                     "cause": cause})
        assert releases.read_log(made)[0][-1]["cause"] == cause + tail
    table = text_tables.history({name: {"records": releases.read_log(made)[0]} for name in ("web1", "web2")})
    assert [line for line in table.split("\n") if line.startswith(" ")] == [
        "    web1: watch: of 40 answers to visitors 12 were errors; KeyError orders/views.py:31 detail, 12 times",
        "    web1: migrate: exit 1"]
    disk.write(made.tag, "x")
    assert agent_errors.new_since(made, SINCE, 5) == ""


def test_a_journal_of_nonsense(host):
    """Malformed lines cost nothing else; a search that does not end is ended."""
    texts = ('{"level": "ERROR"', "\x1b[2J", "[" * 9000, None, [255], '{"level": "ERROR"}')
    odd = [entry(text, SINCE + 1) for text in texts]
    made = host(odd * 800, script='printf "{\\n[1]\\n\\0\\377\\n"; cat "$0.new"')
    assert [group["count"] for group in agent_errors.find(made, {**LIVE, "before": ""})["groups"]] == [1600]
    with pytest.raises(agent_errors.Problem, match="^the journal could not be searched within 0.2 s"):
        agent_errors.find(host([], script="exec sleep 60"), LIVE, seconds=0.2)


def facts(*records):
    return {"web1": {"records": [
        {"id": str(number), "tag": tag, "outcome": outcome, "action": action, "at": at, "seconds": 10}
        for number, (tag, at, outcome, action) in enumerate(records)]}}


HISTORY = facts(("v1", 100, "committed", "deploy"), ("v2", 200, "taken back", "deploy"),
                ("v2", 300, "committed", "deploy"), ("v2", 350, "committed", "restart"),
                ("v3", 400, "committed", "deploy"))


@pytest.mark.parametrize("history, words, window", [
    (HISTORY, {}, (390, None, "", "v2", 300)), (HISTORY, {"tag": "v2"}, (290, 400, "v2", "v1", 100)),
    (HISTORY, {"since": 50}, (50, None, "", "v2", 50)), (HISTORY, {"all": True}, (0, None, "", "", 0)),
    (HISTORY, {"tag": "v1"}, (90, 300, "v1", "", 90)), (facts(), {}, (0, None, "", "", 0))])
def test_which_errors_are_asked_for(history, words, window):
    assert tuple(errors.window(history, **words).values()) == window


def run(fleet, *words):
    asyncio.run(command.handle(fleet, __main__.parse(["errors", *words])))


def answer(message, host):
    only = message["args"].get("only", "")
    hits = [groups.in_record(SINCE + at, "web", {"exception": traceback(line=at), "release": "v2", "method": "GET",
                                                 "path": f"/{at}/", "request_id": f"5f0c7d{at}"}) for at in (40, 41)]
    hits += [groups.Hit(SINCE + 50, "beat", ("ended",), "beat", "", "ended\x1b[2J")] * 4 if host == "work" else []
    made = found(*hits, window={**LIVE, **message["args"]["window"], "since": SINCE}, only=only)
    made["groups"][0]["known"] = host == "web2"
    return [json.dumps({"id": message["id"], "ok": made}).encode() + b"\n"]


def test_groups_of_all_hosts(fleet, capsys):
    with agents(lambda host: Agent(fine(fleet), {"errors": lambda message: answer(message, host)})):
        run(fleet)
        out = capsys.readouterr().out.splitlines()
        assert out[0] == "1. new beat: ended\\x1b[2J" and out[1].startswith("  4 x, ")
        assert out[2] == "2. KeyError orders/views.py:41 detail: 'a'"
        assert "8 x, " in out[3] and ", web on front, root@web1" not in out[3] and "v2, id " in out[3]
        id = out[3][-8:]
        for word in (id, "2"):
            run(fleet, word)
            text = capsys.readouterr().out
            assert traceback(line=41) in text and " 5f0c7d41 v2 GET /41/\n" in text
            assert text.endswith('make logs ARGS="--request 5f0c7d41"\n') and text.count(" GET /4") == errors.LATEST
        run(fleet, "1")
        assert '\nmake logs ARGS="--role beat --since \'202' in capsys.readouterr().out
        run(fleet, "--json")
        assert [group["id"] for group in json.loads(capsys.readouterr().out)][1] == id
        for words in (["9"], ["--release", "v9"]):
            with pytest.raises(Refused):
                run(fleet, *words)
    with agents(lambda host: None), pytest.raises(DeployError, match="^on front, web1"):
        run(fleet)


@pytest.mark.parametrize("told", [True, False])
def test_a_deploy_names_its_new_errors(fleet, told):
    """Those since its begin, by the host's clock. A host that does not tell them changes nothing."""
    windows, events = [], []

    def tell(message):
        windows.append(message["args"]["window"])
        return answer(message, "web1") if told else [json.dumps({"id": message["id"], "ok": {}}).encode() + b"\n"]
    with agents(lambda host: Agent(fine(fleet), {"errors": tell})):
        simulated(Rollout(fleet, fleet.app_hosts, events.append, "deploy", "v2").run())
    assert windows == [{"since": 1e9, "until": None, "tag": "v2", "before": "v1", "back": None}] * 3
    line = "1 new error: KeyError orders/views.py:41 detail, 6 times"
    assert events[-1]["outcome"] == "committed" and events[-1]["errors"] == line * told
    assert events[-1]["text"].endswith(f"errors)\n{line}: see make errors") is told
