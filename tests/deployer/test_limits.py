"""What a deploy key's agent does at most at once, what the journal tells of its refusals, and whose deploy it was."""

import json
import threading
import time

import pytest

from deployer.test_requests import BEGIN
from slipway.deploy.agent import limits, lock, releases, requests, serve
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.host import Problem
from slipway.deploy.agent.step_log import StepLog
from slipway.deploy.screen.text_tables import releases_table


@pytest.fixture
def logged(monkeypatch):
    lines = []
    monkeypatch.setattr(limits.syslog, "openlog", lambda name, *words: lines.append((name, *words)))
    monkeypatch.setattr(limits.syslog, "syslog", lambda level, text: lines.append(text))
    monkeypatch.setattr(limits, "refusals", iter(range(10_000)))
    return lines


def refused(host, kind, do, args, key="abc"):
    with pytest.raises(Problem):
        limits.check(host, kind, key, do, args)


def test_a_refusal_is_in_the_journal(machine, logged):
    refused(machine.host, "deploy", "last_lines", {"name": "blog-web-a", "since": 1, "until": 2})
    assert logged == [
        ("shop-gate", 0, limits.syslog.LOG_AUTHPRIV),
        "key abc: last_lines: that container is not the app's; it asked:"
        ' ["last_lines", {"name": "blog-web-a", "since": 1, "until": 2}]',
    ]
    refused(machine.host, "watch", "lock", {}, key="")
    assert logged[-1].startswith("key without a name: this key may watch shop, not lock")


def test_an_administrator_s_is_not(machine, logged):
    refused(machine.host, "", "last_lines", {"name": "blog-web-a", "since": 1, "until": 2})
    limits.check(machine.host, "deploy", "abc", "celery", {})
    assert logged == []


@pytest.mark.parametrize(
    ("do", "args"),
    [
        ("command", {"script": "hunter2", "input": "hunter2"}),
        ("put", {"content": "hunter2"}),
        ("stage", {"settings": "hunter2", "files": {"KEY": "hunter2"}}),
        ("inherit", {"records": [], "files": {"KEY": "hunter2"}, "reverted": "hunter2"}),
        ("resolve", {"image": "other.example/shop", "tag": "v1", "credentials": "ann:hunter2"}),
        ("pull", {"image": "other.example/shop", "credentials": "ann:hunter2"}),
    ],
)
def test_no_secret_is_logged(machine, logged, do, args):
    refused(machine.host, "deploy", do, args)
    assert f'["{do}", {{' in logged[-1] and "hunter2" not in logged[-1]


def test_every_argument_that_may_hold_a_secret_is_known():
    """Of anything, or of bytes as base64, as settings and files are."""
    named = {
        name.rstrip("?")
        for shapes in requests.SHAPES.values()
        for name, shape in shapes.items()
        if shape("a" * 10_000) or shape({"KEY": "abcd"})
    }
    assert named == {*limits.SECRET}


@pytest.mark.parametrize("do", ["x" * 9000, "a\nb\u2028c\x1b[2J\ud800", None, ["facts"], {"a": "\n"}])
@pytest.mark.parametrize("args", [{}, {"tag": "\n\u2028" * 900}, "\n" * 900, 7])
def test_a_line_has_an_end_and_is_one(machine, logged, do, args):
    refused(machine.host, "deploy", do, args)
    assert len(logged[-1]) < 700 and logged[-1].isprintable() and logged[-1].isascii()


def test_what_cannot_be_shown_is_logged_nevertheless(machine, logged):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    refused(machine.host, "deploy", "put", {"path": deep})
    assert logged[-1].startswith("key abc: this key may deploy shop, not put")


def test_a_thief_cannot_push_all_else_out_of_the_journal(machine, logged):
    for _ in range(150):
        refused(machine.host, "deploy", "put", {})
    assert len([line for line in logged if isinstance(line, str)]) == 100


def test_the_agent_logs_what_it_refuses(machine, logged, monkeypatch):
    """With the lock and without."""
    said = []
    monkeypatch.setattr(serve, "say", said.append)
    message = {"id": 1, "do": "put", "args": {}}
    serve.step(machine.host, Attempt(machine.host, key="abc"), StepLog(machine.host), message, "deploy")
    assert logged.pop().startswith("key abc: this key may deploy shop, not put")
    monkeypatch.setattr(serve, "lines", lambda kind: iter([message]))
    monkeypatch.setattr(serve, "Host", lambda app: machine.host)
    serve.read("shop", "/run/shop/agent.1", "watch", "def")
    assert logged.pop().startswith("key def: this key may watch shop, not put")


def test_the_lock_knows_whose_key_it_is(machine, monkeypatch):
    got = []
    monkeypatch.setattr(serve, "say", lambda answer: None)
    monkeypatch.setattr(serve, "lock", lambda host, **args: got.append((args["kind"], args["key"])))
    monkeypatch.setattr(limits, "check", lambda *words: None)
    monkeypatch.setattr(serve, "lines", lambda kind: iter([{"id": 1, "do": "lock", "args": {}}]))
    monkeypatch.setattr(serve, "Host", lambda app: machine.host)
    serve.read("shop", "/run/shop/agent.1", "deploy", "abc")
    assert got == [("deploy", "abc")]


def test_so_many_requests_are_worked_on_at_once():
    threads, go, done = limits.Threads(), threading.Event(), threading.Semaphore(0)

    def work():
        go.wait(60)
        done.release()

    assert [threads.start(work) for _ in range(limits.AT_ONCE + 2)] == [True] * limits.AT_ONCE + [False] * 2
    go.set()
    for _ in range(limits.AT_ONCE):
        assert done.acquire(timeout=60)


def test_a_place_is_free_again_even_after_a_failure():
    threads, ended = limits.Threads(), threading.Semaphore(0)
    threads.places = Counted(ended)
    with pytest.raises(ValueError, match="it fails"):
        threads._run(lambda: int("it fails"))
    assert ended.acquire(blocking=False)


class Counted:
    def __init__(self, ended):
        self.release = ended.release


def test_one_too_many_is_told(machine, monkeypatch):
    said = []
    monkeypatch.setattr(serve, "say", said.append)
    monkeypatch.setattr(serve, "lines", lambda kind: iter([{"id": 7, "do": "pull", "args": {}}]))
    monkeypatch.setattr(serve, "Host", lambda app: machine.host)
    monkeypatch.setattr(serve, "leave", lambda: None)
    monkeypatch.setattr(limits.Threads, "start", lambda self, function: False)
    serve.work("shop", "/run/shop/agent.1", "deploy", "abc")
    assert said == [{"id": 7, "problem": "32 requests at once are under way: ask again later", "details": {}}]


def test_the_unit_of_a_key_has_bounds(machine, monkeypatch):
    """An administrator's has none."""
    started = []
    monkeypatch.setattr(lock.subprocess, "run", lambda words, **options: started.append(words))
    lock.run_as_unit(machine.host, machine.host.run, "deploy v2 by ann", 30, False, "deploy", "abc")
    lock.run_as_unit(machine.host, machine.host.run, "deploy v2 by ann", 30, False)
    of_key, of_administrator = started
    assert {"MemoryMax=512M", "TasksMax=300"} <= {*of_key} and not {"MemoryMax=512M", "TasksMax=300"} & {
        *of_administrator
    }
    assert of_key[-4:] == ["work", "shop", "deploy", "abc"]
    assert "--description=deploy key SHA256:abc: deploy v2 by ann" in of_key, "first, as others cut it"
    assert "--description=deploy v2 by ann" in of_administrator


def test_a_record_has_the_key_that_sshd_let_in(machine, monkeypatch):
    """Beside what the client says, which cannot change it."""
    monkeypatch.setattr(serve, "lines", lambda kind: iter([]))
    monkeypatch.setattr(serve, "Host", lambda app: machine.host)
    monkeypatch.setattr(serve, "leave", lambda: None)
    made = []
    monkeypatch.setattr(serve, "Attempt", lambda host, **values: made.append(values))
    serve.work("shop", "/run/shop/agent.1", "deploy", "abc")
    assert made[0]["key"] == "abc"
    with pytest.raises(Problem):
        limits.check(machine.host, "deploy", "abc", "begin", {**BEGIN, "key": "of ann"})


@pytest.mark.parametrize(("key", "recorded"), [("abc", "SHA256:abc"), ("", None)])
def test_releases_shows_the_key(key, recorded):
    from slipway.deploy.agent.steps.commit import record

    noted = {
        "action": "deploy",
        "tag": "v2",
        "who": "deploy v2 by the boss from home since",
        "started": time.monotonic(),
        "key": key,
    }
    entry = record(noted, "committed")
    assert entry.get("key") == recorded and releases.is_valid_record(json.loads(releases.log_line(entry)))
    assert not releases.is_valid_record({**entry, "key": 7})
    shown = releases_table({"web1": {"records": [entry]}}).split("\n")
    assert "the boss from home" in shown[1] and shown[2:] == (["    by deploy key SHA256:abc"] if key else [])


def test_the_modes_get_the_kind(monkeypatch):
    got = []
    monkeypatch.setattr(serve, "read", lambda *words: got.append(words))
    monkeypatch.setattr(serve, "work", lambda *words: got.append(words))
    for words in (["read", "shop"], ["read", "shop", "watch"], ["work", "shop", "deploy", "abc"]):
        serve.main("/agent", words)
    assert got == [("shop", "/agent"), ("shop", "/agent", "watch"), ("shop", "/agent", "deploy", "abc")]
