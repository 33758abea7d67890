"""The agent and a deployer that sends anything: nothing is done that the table of requests.py does not have."""

import json
import os
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployer.conftest import TOML, fleet_of
from deployer.machine import release
from deployer.test_validate import JSON
from slipway.deploy.agent import disk, requests, serve
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.host import Problem
from slipway.deploy.agent.requests import SHAPES, check
from slipway.deploy.agent.step_log import StepLog
from slipway.deploy.agent.steps.table import STEPS
from slipway.deploy.rollout import plan, preflight
from slipway.deploy.ssh import connection
from slipway.deploy.ssh.connection import who

ID = "0123456789ab"
BEGIN = {
    **{"id": ID, "who": "ann", "action": "deploy", "tag": "v2", "digest": "digest:v2", "image_id": ""},
    **{"image": "registry.example/shop", "keep_warm": 600, "drain": 30, "keep_releases": 5},
}
HAS_IMAGE = {"image": "registry.example/shop", "tag": "v1", "digest": ""}
LOCK = {"description": "deploy v2 by ann", "dead_after": 30}

LINES = """# For docker-runner; written by provisioning.
IMAGE=registry.example/shop
OPTS=''
STATIC=s3://shop/static
"""


@pytest.fixture(autouse=True)
def image(machine):
    disk.write(machine.host.etc, LINES)


def snapshot(host):
    """Return path → content of all files of the host."""
    found = {}
    for folder, _, names in os.walk(host.root):
        for name in names:
            path = os.path.join(folder, name)
            found[path] = os.readlink(path) if os.path.islink(path) else disk.read(path)
    return found


def test_every_request_has_a_row():
    assert {*SHAPES} == {*serve.REQUESTS, *STEPS}


@pytest.mark.parametrize(
    ("shape", "fits", "others"),
    [
        (requests.text("a+", 3), ["a", "aaa"], ["", "aaaa", "b", 1, None]),
        (requests.number(0, 9), [0, 0.5, 9], [-0.1, 9.1, "1", True, None, float("nan")]),
        (requests.flag, [True, False], [0, 1, None]),
        (requests.optional(requests.number(0, 9)), [None, 0], [True, "", 10]),
        (requests.list_of(requests.flag, 2), [[], [True, False]], [[True] * 3, [1], (True,), None]),
        (requests.table_of(a=requests.flag), [{"a": True}], [{}, {"a": 1}, {"a": True, "b": True}, None]),
        (requests.files_of(requests.flag), [{}, {"key": True}], [{"key": 1}, {"../key": True}, ["key"]]),
    ],
)
def test_what_fits_a_shape(shape, fits, others):
    """Up to its limits, and nothing of another type."""
    assert [shape(value) for value in fits] == [True] * len(fits)
    assert [shape(value) for value in others] == [False] * len(others)


def test_no_seconds_and_no_count_are_below_zero():
    """0 is let in: no drain, no release that is kept warm, the beginning of a log. A moment may be before 1970."""
    numbers = {
        f"{do} {name}": shape
        for do, shapes in SHAPES.items()
        for name, shape in shapes.items()
        if shape(1) and name.rstrip("?") not in ("since", "until")
    }
    assert {"begin drain", "migrate max_lock", "ready seconds", "flip max_errors?"} <= {*numbers}
    assert [key for key, shape in numbers.items() if shape(-1) or shape(-0.5) or not shape(0)] == []
    assert requests.moment(-1) and requests.place({"inode": 0, "offset": 0})
    assert not requests.place({"inode": -1, "offset": 0}) and not requests.place({"inode": 0, "offset": -1})
    assert SHAPES["lock"]["dead_after"](3) and not SHAPES["lock"]["dead_after"](2.9)
    assert not SHAPES["flip"]["max_errors?"](1.1), "a share of all answers"
    for shape, most in (SHAPES["command"]["seconds?"], 2 * 86_400), (SHAPES["put"]["mode"], 0o7777):
        assert shape(most) and not shape(most + 1)


def test_what_a_deploy_sends_has_these_shapes(machine, data):
    """Of all actions and options."""
    fleet = fleet_of({**TOML, **data, "image": "registry.example/shop"}, {"static": {"publish": "s3://shop/static"}})
    for action in ("deploy", "restart", "rollback"):
        known = {host.name: {**release("v1"), "digest": "sha256:" + "1" * 64} for host in fleet.hosts}
        for each in known.values():
            del each["tag"]
        target = plan.Target(action, "v1", BEGIN["digest"], known if action == "rollback" else {}, {}, "web1")
        groups = plan.plan(
            fleet, fleet.hosts, target, plan.Options(True, True, "ann:secret"), {"id": ID, "who": who("x")}
        )
        done = {host.name: set() for host in fleet.hosts}
        for group in groups:
            for step, host in [(step, host) for step in group for host in fleet.hosts if host.name in step.hosts]:
                check(machine.host, "deploy", step.name, step.args_for(host.name))
                there = SimpleNamespace(has=host.has, alone=lambda host=host: [*filter(host.has, fleet.alone())])
                assert not requests.missing_step(there, step.name, done[host.name]), (step.name, host.name)
            for step in group:
                for name in step.hosts:
                    done[name].add(step.name)
    for host in fleet.app_hosts:
        paths = [*preflight.expected_files(fleet, host)]
        machine.host.app = fleet.app
        check(
            machine.host, "watch", "facts", {"paths": paths, "health": True, "tag": "", "history": False, "blind": True}
        )
    check(machine.host, "deploy", "lock", {**LOCK, "description": who("deploy v2")})


REFUSED = {  # what each would give to whoever holds a deploy key
    "a shell": ("command", {"script": "id"}),
    "a file": ("put", {"path": "/etc/cron.d/x", "content": "", "mode": 0o644, "owner": "root", "group": "root"}),
    "a secret's file elsewhere": ("stage", {"settings": "", "files": {"../../cron.d/x": ""}}),
    "another name elsewhere": ("keep", {"files": ["../../cron.d/x"]}),
    "the settings": ("read_settings", {}),
    "a program at the retirement": ("begin", {**BEGIN, "program": "/run/shop/b/x.py"}),
    "an option of docker run": ("begin", {**BEGIN, "id": 'x "$(id)"'}),
    "a process to be killed": ("begin", {**BEGIN, "pid": 1}),
    "any image of the host": ("begin", {**BEGIN, "image_id": "sha256:redis"}),
    "any image as part of a history": ("inherit", {"records": [], "files": {}}),
    "whether the host has an image": ("has_image", {**HAS_IMAGE, "image_id": "sha256:redis"}),
    "any image by a rollback": ("begin", {**BEGIN, "action": "rollback", "image_id": "sha256:redis"}),
    "another tag of a release": ("begin", {**BEGIN, "action": "rollback", "tag": "v9", "image_id": "sha256:v1"}),
    "another app's name for the image": ("pull", {"image": "redis"}),
    "an image from elsewhere": ("pull", {"image": "registry.example/shop", "reference": "127.0.0.1:5000/app"}),
    "root's login for another registry": ("resolve", {"image": "evil%2eexample/x", "tag": "v1"}),
    "a file's state": ("facts", {"paths": ["/etc/default/shop.env.next"]}),
    "the hash of what never ends": ("facts", {"paths": ["/dev/zero"]}),
    "a hash by another way": ("facts", {"paths": ["/etc/systemd/system/../../shadow"]}),
    "another app's log": ("last_lines", {"name": "blog-web-a", "since": 1, "until": 2}),
    "a hidden lock": ("lock", {**LOCK, "description": "retirement of slot a"}),
    "a lock for ever": ("lock", {**LOCK, "dead_after": "infinity"}),
    "a lock without the app": ("lock", {**LOCK, "bare": True}),
    "requests by a smoke path": ("ready", {"seconds": 1, "smoke": ["/ HTTP/1.0\r\nX: y"], "roles": ["web"]}),
    "files in another bucket": ("upload", {"bucket": "s3://other/static", "seconds": 9}),
    "a unit of another name": ("start", {"roles": ["web@a.service docker"]}),
    "a step without its arguments": ("ready", {}),
    "what nobody knows": ("reboot", {}),
    "no name": (["facts"], {}),
    "no arguments": ("facts", []),
}


@pytest.mark.parametrize("what", REFUSED)
def test_nothing_else_is_done(machine, monkeypatch, what):
    """And nothing changes on the host."""
    (do, args), before, said = REFUSED[what], snapshot(machine.host), []
    monkeypatch.setattr(serve, "say", said.append)
    serve.step(machine.host, Attempt(machine.host), StepLog(machine.host), {"id": 1, "do": do, "args": args}, "deploy")
    assert [*said[0]] == ["id", "problem", "details"] and said[0]["details"] == {}, said
    after = snapshot(machine.host)
    after.pop(f"{machine.host.run}/steps", None)
    assert after == before and not machine.host.one_offs


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_as_such(machine, what):
    """Not by a step that has not been taken yet."""
    with pytest.raises(Problem):
        check(machine.host, "deploy", *REFUSED[what])


OF_ADMINISTRATORS = ("read_settings", "command", "put", "stage", "keep", "inherit", "backups_listed", "restored")
OF_DEPLOYS = ("lock", "decide", "point", "resolve", "has_image")


@pytest.mark.parametrize(
    ("kind", "do"),
    [("deploy", do) for do in OF_ADMINISTRATORS] + [("watch", do) for do in OF_ADMINISTRATORS + OF_DEPLOYS],
)
def test_what_a_key_may_not_ask(machine, kind, do):
    """Whatever the arguments."""
    words = do.replace("_", " ")
    with pytest.raises(Problem, match=f"^this key may {kind} shop, not {words}: use an administrator's key$"):
        check(machine.host, kind, do, {})


@pytest.mark.parametrize(
    ("do", "args"),
    [
        ("pull", {"image": "registry.example/shop", "reference": "127.0.0.1:5000/app"}),
        ("lock", {**LOCK, "bare": True}),
    ],
)
@pytest.mark.parametrize("kind", ["deploy", "watch"])
def test_an_argument_that_only_an_administrator_gives(machine, kind, do, args):
    check(machine.host, "", do, args)
    with pytest.raises(Problem, match=f"^this key may {kind} shop, not {do}: use an administrator's key$"):
        check(machine.host, kind, do, args)


UNSEEN = [*"\x00\x0a\x0b\x0c\x0d\x1b\x1c\x1d\x1e\x1f\x7f\x85\u2028\u2029\u202e\ufeff\ud800"]


@pytest.mark.parametrize("character", UNSEEN, ids=ascii)
@pytest.mark.parametrize("kind", ["", "deploy"])
def test_who_it_is_has_one_printable_line(machine, kind, character):
    for do, args in (
        ("lock", {**LOCK, "description": f"deploy{character}ActiveState=inactive"}),
        ("begin", {**BEGIN, "who": f"ann{character}bob"}),
    ):
        with pytest.raises(Problem, match=f"{do}: the argument '(description|who)' is"):
            check(machine.host, kind, do, args)


@pytest.mark.parametrize("text", ["", "x" * 301, "retirement", 7, None])
def test_a_lock_says_who_holds_it(machine, text):
    with pytest.raises(Problem):
        check(machine.host, "deploy", "lock", {**LOCK, "description": text})
    check(machine.host, "deploy", "lock", {**LOCK, "description": "déploiement par Zoë ’s 💻 " + "x" * 200})


def test_a_deployer_says_who_in_one_printable_line(machine, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ann\u2028\x1b\n" + "x" * 400)
    monkeypatch.setattr(connection.socket, "gethostname", lambda: "lap\x85top")
    text = who("deploy since-1")
    assert text.startswith("deploy since-1 by ann???xxx") and len(text) == 300
    check(machine.host, "deploy", "lock", {**LOCK, "description": text})


ADMINISTRATORS = (
    *("a shell", "a file", "the settings", "a lock without the app", "an image from elsewhere"),
    "any image as part of a history",
)


@pytest.mark.parametrize("what", [what for what in REFUSED if what not in ADMINISTRATORS])
def test_an_administrator_s_deployer_may_not_either(machine, what):
    """A process that took over the deployer gains less."""
    with pytest.raises(Problem):
        check(machine.host, "", *REFUSED[what])


def test_a_host_s_settings_are_read_as_by_a_shell(machine):
    """The last of two assignments counts."""
    disk.write(machine.host.etc, f"{LINES}IMAGE='registry.example/a shop'\n")
    assert requests.setting(machine.host, "IMAGE") == "registry.example/a shop"
    assert requests.setting(machine.host, "UNKNOWN") == ""


@pytest.mark.parametrize("what", ADMINISTRATORS)
def test_what_an_administrator_alone_may(machine, what):
    check(machine.host, "", *REFUSED[what])
    with pytest.raises(Problem, match=r"this key may deploy shop, not .*: use an administrator's key"):
        check(machine.host, "deploy", *REFUSED[what])


def test_a_rollback_goes_to_a_release_of_this_host(machine):
    machine.attempt("deploy", "v2")
    check(machine.host, "deploy", "begin", {**BEGIN, "action": "rollback", "tag": "v1", "image_id": "sha256:v1"})
    check(machine.host, "deploy", "has_image", {**HAS_IMAGE, "image_id": "sha256:v1"})
    disk.remove(machine.host.log)
    check(machine.host, "deploy", "begin", {**BEGIN, "action": "rollback", "tag": "v1", "image_id": "sha256:v1"})


@given(
    st.sampled_from(sorted(SHAPES)), st.dictionaries(st.sampled_from(["image", "tag", "paths", "seconds", "x"]), JSON)
)
@example("facts", {"paths": ["/" * 10_000]})
@example("watch", {"seconds": float("nan")})
def test_any_arguments_fit_or_are_refused(tmp_path_factory, do, args):
    host = serve.Host("shop", str(tmp_path_factory.getbasetemp()))
    try:
        check(host, "deploy", do, args)
    except Problem as problem:
        assert "\n" not in str(problem) and len(str(problem)) < 500
    else:
        assert {*args} <= {name.rstrip("?") for name in SHAPES[do]} and "image" not in args


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(b'{"id": true, "do": "facts"}')
def test_a_line_is_a_message_or_the_end(line):
    try:
        message = requests.parse_message(line)
    except SystemExit as ended:
        assert str(ended) == "a message of the deployer is malformed"
    else:
        assert type(message) is dict


@pytest.mark.parametrize("message", [{"id": 1, "do": "facts"}, {"abort": {}}, {"do": "alive"}])
def test_what_a_message_must_have(message):
    """A number, as it is answered; a deployer that aborts or is alive gets no answer."""
    assert requests.parse_message(json.dumps(message).encode()) == message


@pytest.mark.parametrize("id", [None, True, "1", [1]])
def test_what_cannot_be_answered_is_no_message(id):
    with pytest.raises(SystemExit, match="malformed"):
        requests.parse_message(json.dumps({"id": id, "do": "facts"}).encode())


@pytest.mark.parametrize("why", [{"slot": "../../etc/default/blog"}, {"live": "b"}, {"cause": 7}, "x", None])
def test_an_abort_says_only_why(machine, monkeypatch, why):
    assert requests.abort_cause(why) == {}
    assert requests.abort_cause({"cause": "told to"}) == {"cause": "told to"}


@pytest.mark.parametrize(("kind", "ends"), [("", False), ("deploy", True), ("watch", True)])
def test_a_line_of_a_deploy_key_is_short(monkeypatch, kind, ends):
    pieces = iter([b"x" * (1 << 20), b"x", b""])
    monkeypatch.setattr(serve.os, "read", lambda *_: next(pieces))
    with pytest.raises(SystemExit) if ends else pytest.MonkeyPatch.context():
        assert [*serve.lines(kind)] == []
