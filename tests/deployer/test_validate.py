"""Answers of hosts are not trusted: any nonsense from an agent becomes one line that names the host."""

import contextlib
import functools
import io
import json
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployer.agents import Agent, agents, fine, line
from deployer.clock import run
from deployer.test_hostile import CONTROL
from slipway.deploy.commands import releases, status
from slipway.deploy.errors import DeployError, Lost
from slipway.deploy.rollout import preflight
from slipway.deploy.rollout.rollout import Rollout
from slipway.deploy.rollout.runner import Run
from slipway.deploy.screen import display
from slipway.deploy.ssh import validate
from slipway.deploy.ssh.connections import Connections
from slipway.deploy.ssh.validate import visible

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**40)
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["\x1b]0;x\x07", "\x9b31m", "\ud800", "²", "9" * 5000, "-1", "v1", "\u2028web2: "]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "ok", "event", "problem", "details", "log", "body", "text", "tag", "alive", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
LINES = (
    st.binary(max_size=40)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.just(b"[" * 3000)
    | st.just(b'{"id":' * 2000)
).map(lambda text: text + b"\n")
STEPS = (
    "facts",
    "resolve",
    "lock",
    "begin",
    "pull",
    "verdicts",
    "ready",
    "watch",
    "promise",
    "commit",
    "decide",
    "end",
    "abort",
)


def places(value, path=()):
    """Return the paths of all values in an answer."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def with_(value, path, new):
    """Return a copy of the answer with another value at this path."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = with_(copy[path[0]], path[1:], new)
    return copy


def rollout(fleet, action="deploy"):
    out = io.StringIO()
    tag = "v2" if action == "deploy" else ""
    return Rollout(fleet, fleet.app_hosts, display.Lines(out).tell, action, tag), out


def outcome_of(fleet, odd, run=run):
    """Return the error, or None, of a deploy to such agents, and all its output."""
    base = fine(fleet)
    made, out = rollout(fleet)
    error = None
    with agents(lambda host: Agent(base, odd)), contextlib.redirect_stderr(out):
        try:
            run(made.run())
        except DeployError as problem:
            error = problem
    return error, out.getvalue()


@pytest.fixture(autouse=True)
def files_as_they_were(fleet, monkeypatch):
    """Compute the expected files of hosts only once a test, as that takes longer than all the rest."""
    wanted = {host.name: preflight.expected_files(fleet, host) for host in fleet.hosts}
    monkeypatch.setattr(preflight, "expected_files", lambda fleet, host: wanted[host.name])


EVENT = st.fixed_dictionaries(
    {"event": st.sampled_from([*validate.EVENTS])},
    optional={
        **dict.fromkeys(
            ("at", "host", "hosts", "step", "seconds", "limit", "roles", "text", "problem", "details"), JSON
        ),
        "state": JSON | st.sampled_from(["start", "done", "failed"]),
    },
)


@given(st.sampled_from([display.Json, display.Lines, display.Terminal]), st.lists(EVENT, max_size=20))
@example(display.Lines, [{"event": "progress", "text": "x", "at": at} for at in (1e300, "now", None, 1e999)])
def test_no_event_silences_the_display(fleet, kind, said):
    """A host's malformed event is refused, or shown with our time. After one that cannot be drawn, others still are."""
    out = io.StringIO()
    with contextlib.redirect_stderr(out):
        show = display.Background(kind(out).tell)
        hosts = Run(Connections(fleet, [], show.tell)).hosts
        for one in said:
            with contextlib.suppress(Lost):
                hosts._on_event("web1", validate.checked_event(validate.parse(line(one))))
        show.tell({})
        show.tell({"event": "result", "text": "shop is live"})
        show.close()
    shown = out.getvalue()
    assert "shop is live" in shown and shown.count("slipway: warning: cannot show {") == 1, shown
    assert not CONTROL.search(shown)


@given(st.sampled_from(STEPS), LINES)
def test_a_deploy_with_agents_that_say_anything(fleet, step, said):
    error, shown = outcome_of(fleet, {step: lambda message: [said, b""]})
    assert error is None or any(host.name in str(error) for host in fleet.app_hosts), repr(error)
    assert not CONTROL.search(shown)


@given(st.data())
def test_answers_that_are_wrong_in_one_place(fleet, data):
    base = fine(fleet)["facts"]
    path = data.draw(st.sampled_from(places(base)))
    answer = with_(base, path, data.draw(JSON))
    made, _ = rollout(fleet, action=data.draw(st.sampled_from(["deploy", "rollback"])))
    odd = {"facts": lambda message: [line({"id": message["id"], "ok": answer}), b""]}
    words = SimpleNamespace(json=False, hosts="")
    for act in (made.plan, lambda: status.handle(made.fleet, words), lambda: releases.handle(made.fleet, words)):
        with agents(lambda host: Agent(fine(fleet), odd)), contextlib.redirect_stdout(io.StringIO()) as out:
            try:
                run(act())
            except DeployError as error:
                out.write(visible(str(error)))
                assert "invalid answer" not in str(error) or all(
                    name in str(error) for name in ("web1", "web2", "work")
                ), error
        assert not CONTROL.search(out.getvalue())


WORDS = [
    "sha256:2 HTTP/1.0\r\nHost: docker\r\n\r\nPOST /containers/create HTTP/1.0",
    "x y",
    "x\n",
    "../x",
    "x?y",
    "x&y",
    "x\\y",
    "$x",
    "%n",
    "-x:\u0660",
    "\u20ac",
    "x" * 999,
]
GO_ON = {  # do → paths of values that are passed on to a host, an engine, a file or a unit
    "resolve": [("digest",)],
    "pull": [("image_id",), ("digests", 0)],
    "facts": [
        *(
            (*path, key)
            for key in ("tag", "image_id")
            for path in [
                ("tag",),
                ("revert",),
                ("history", 0),
                ("records", 0),
                ("slots", "a", "release"),
                ("alone", "beat", "release"),
            ]
        ),
        ("history", 0, "digest"),
    ],
}


@pytest.mark.parametrize("do, path", [(do, path) for do, paths in GO_ON.items() for path in paths])
def test_what_goes_on_has_a_pattern(fleet, do, path):
    base, shape = fine(fleet)[do], validate.ANSWERS[do]
    said = [validate.mismatch(with_(base, path, word), shape) for word in WORDS]
    assert all("is invalid" in text for text in said) and validate.mismatch(base, shape) == ""


def test_a_key_that_is_missing_is_no_null(fleet):
    base = fine(fleet)["facts"]
    for path in places(base):
        if path and isinstance(path[-1], str) and path[0] not in ("files", "free", "containers"):
            holder = functools.reduce(lambda value, key: value[key], path[:-1], base)
            found = with_(base, path[:-1], {key: one for key, one in holder.items() if key != path[-1]})
            optional = {"id", "at", "seconds", "who", "digest", "health", "version", "root", "a", "b", "web", "beat"}
            said = validate.mismatch(found, validate.ANSWERS["facts"])
            assert said.endswith(f".{path[-1]} is missing") or (path[-1] in optional and not said), (path, said)


def test_nothing_a_host_says_acts_on_the_terminal(fleet):
    assert visible("a\x1b[31m\x9b1m\r\u202e\x7f\n\tü€😀") == "a\\x1b[31m\\x9b1m\\r\\u202e\\x7f\n\\tü€😀"
    text = "\x1b]52;c;eA==\x07 v\u200b2\nweb9: flip done"
    odd = {
        "ready": lambda message: [
            line({"id": message["id"], "problem": text, "details": {"body": text, "log": [text]}})
        ],
        "begin": lambda message: [line({"event": "progress", "text": text}), line({"id": message["id"], "ok": {}})],
    }
    error, shown = outcome_of(fleet, odd)
    shown += visible(str(error))
    assert "\n  web9: flip" in shown and "\nweb9" not in shown
    assert "\\x1b]52" in shown and "\x1b" not in shown and "\x07" not in shown and "\u200b" not in shown
