"""`slipway env` without a host: the new text of an env file, and refusals before any ssh."""

import argparse
import contextlib
import getpass
import io
import os
import signal
import sys
import time

import pytest

from deployer import clock
from deployer.agents import Agent, agents, fine, line
from documented import block
from proc import ROOT, executable, put, run
from slipway.deploy import __main__
from slipway.deploy.commands import env
from slipway.deploy.env import changes
from slipway.deploy.env.staging import prompt_for
from slipway.deploy.errors import Interrupted, Refused
from slipway.deploy.ssh.connection import encoded
from slipway.deploy.ssh.interrupts import run_interruptible

CURRENT = "# the shop\nSECRET_KEY=one\n\nMAIL_FROM=a@b.example\n"
CRLF = "# Ä\t\u2028\r\nA=1\r\nB=2\r\n\n"
STAGED = [  # APP.env, the staged file, values set, names unset → the new text; all other bytes are kept
    (
        CURRENT,
        None,
        {"SECRET_KEY": "two", "NEW": "a=b"},
        (),
        "# the shop\nSECRET_KEY=two\n\nMAIL_FROM=a@b.example\nNEW=a=b\n",
    ),
    (CURRENT, "A=1\n", {"B": "2"}, (), "A=1\nB=2\n"),
    (CURRENT, "", {"B": "2"}, (), "B=2\n"),
    (CURRENT, None, {}, ["SECRET_KEY"], "# the shop\n\nMAIL_FROM=a@b.example\n"),
    ("KEY_FILE=/run/secrets/KEY\n", None, {"KEY": "x"}, (), "KEY=x\n"),
    ("KEY=x\n", None, {"KEY_FILE": "/run/secrets/KEY"}, (), "KEY_FILE=/run/secrets/KEY\n"),
    (CRLF, None, {"B": "3"}, (), CRLF.replace("B=2\r", "B=3")),
    (CRLF, None, {}, ["A"], CRLF.replace("A=1\r\n", "")),
    ("A=1", None, {"B": "2"}, (), "A=1\nB=2\n"),
]


@pytest.mark.parametrize("current, following, values, unset, text", STAGED)
def test_what_is_staged(current, following, values, unset, text):
    assert changes.next_settings(current, following, values, unset) == text


READ = [  # the input, the names asked for → all problems of the input
    ("A=1\n-----END\n", [], ["input line 2: not KEY=value", changes.HOLDS_LINES]),
    ("A=-----BEGIN\nMIIE\ns3cret=\n", ["A"], ["input line 2: not KEY=value", changes.HOLDS_LINES]),
    ("A=-----BEGIN\nMIIE\ns3cret=\n", [], ["input line 2: not KEY=value", changes.HOLDS_LINES]),
    ("A=1\nA=2\n", [], ["input line 2: A is set a second time"]),
    ("A=\n", ["A"], ["no value for A"]),
    ("A=\n", [], ["A has no value: give one, or use env unset"]),
    ("# nothing\n", [], ["nothing to set: give NAME=value lines on stdin"]),
    (
        "SITE_URL=http://hc.example\nB=2\n",
        ["SITE_URL", "A"],
        [
            "no value for A",
            "B is not one of the names given",
            "SITE_URL is not https; http is allowed only for localhost; for example SITE_URL=https://shop.example",
        ],
    ),
    (
        "SITE_URL=https://[planted\n",
        [],
        [
            "SITE_URL is malformed, or has a port that is not a number: write a password's special characters as %XX"
            " (%2F for /, %40 for @, %23 for #); for example SITE_URL=https://shop.example"
        ],
    ),
    ("SITE_URL=https://hc.example:8443\n", [], []),
    ("SITE_URL=http://localhost:8000\n", ["SITE_URL"], []),
]


@pytest.mark.parametrize("text, names, message", READ)
def test_what_is_no_setting_is_refused(text, names, message):
    if not message:
        assert changes.read_values(text.encode(), names) == {"SITE_URL": text.strip().partition("=")[2]}
        return
    with pytest.raises(Refused) as refused:
        changes.read_values(text.encode(), names)
    assert str(refused.value).splitlines() == message


@pytest.mark.parametrize(
    "words, stdin, message",
    [
        (["set", "KEY=planted"], b"", "KEY: give only the name: a value here would show in the process list"),
        (["set", "a-b"], b"", "'a-b' is not a valid name of a setting"),
        (["unset", "1A"], b"", "'1A' is not a valid name of a setting"),
        (["set-file", "KEY", "/nowhere/x"], b"", "/nowhere/x: No such file or directory"),
        (["set"], b"A=\xff\n", "input cannot be read: it is not UTF-8 text"),
    ],
)
def test_wrong_words_and_bytes(monkeypatch, capsys, words, stdin, message):
    monkeypatch.setenv("IMAGE", "registry.example/shop")  # as make does
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    assert __main__.main(["env", *words]) == 2 and capsys.readouterr().err == f"slipway: {message}\n"


def test_a_password_manager_prints_the_values(tmp_path):
    """The template and the command of docs/settings.md set each value that `op`, here a stand-in, knows. If `op` fails,
    nothing is set."""
    page = ROOT / "docs/settings.md"
    command = block(page, "op inject").partition(" |")[0]
    put(tmp_path / "deploy/production.env", block(page, "SECRET_KEY="))
    op = executable(
        tmp_path / "op", '#!/bin/sh\n[ "$1" = inject ] && sed "s#{{ op://shop/production/\\(.*\\) }}#my-\\1#" "$3"\n'
    )
    words, options = ["sh", "-c", command], {"cwd": tmp_path, "env": {"PATH": f"{tmp_path}:{os.environ['PATH']}"}}
    assert changes.read_values(run(words, **options).stdout.encode(), []) == {
        "SECRET_KEY": "my-secret-key",
        "DATABASE_URL": "my-database-url",
    }
    op.write_text("#!/bin/sh\necho not signed in >&2; exit 1\n")
    with pytest.raises(Refused, match="nothing to set"):
        changes.read_values(run(words, **options).stdout.encode(), [])


def test_values_are_typed_unseen(monkeypatch):
    monkeypatch.setattr(getpass, "getpass", {"A: ": "new", "B: ": "it is = #1"}.get)
    assert prompt_for(["A", "B"]) == b"A=new\nB=it is = #1\n"
    with pytest.raises(Refused, match="no settings given"):
        prompt_for([])


LOCK = 1  # the id of the first request to the agent


@pytest.fixture
def stage(fleet, monkeypatch):
    """stage(current, following, …): run `env set` for B, or `does`, on such a host; return the requests. `stop`: a
    request at which Ctrl-C is pressed."""

    def on(current, following=None, does=None, stop="", services=()):
        staged = following and encoded(following)
        settings = {"settings": encoded(current), "staged": staged, "services": services}
        on.requests = told = []

        def note(message):
            word = message["do"]
            if word == stop:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.05)
            told.append((word, message.get("args")))
            return [
                line(
                    {"id": message["id"], "ok": {}}
                    if word in ("stage", "keep")
                    else {"id": LOCK, "ok": {"locked": None}}
                )
            ]

        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"B=2\n")))
        odd = {
            "read_settings": lambda message: [line({"id": message["id"], "ok": settings})],
            **dict.fromkeys(("stage", "keep", "end"), note),
        }
        words = {"action": "set", "names": [], "hosts": "work", **(does or {})}
        with agents(lambda host: Agent(fine(fleet), odd)):
            clock.run(run_interruptible(env.handle(fleet, argparse.Namespace(**words))))
        return told

    return on


@pytest.mark.parametrize(
    "files, does, message",
    [
        ((b"A=9\n",), {"action": "unset", "names": ["NOTHING"]}, "NOTHING is not set"),
        ((b"A=\xff\n",), {}, "/etc/default/shop.env is not UTF-8 text: correct it on the host"),
        ((b"A=1\n", b"A=\xff\n"), {}, "/etc/default/shop.env.next is not UTF-8 text: correct it on the host"),
        ((b'A="planted"\n',), {}, "APP.env line 1: A is in quotes, which would be part of it: drop them"),
    ],
)
def test_what_is_not_understood_is_not_built_upon(stage, files, does, message):
    with pytest.raises(Refused, match=f"^on work: {message}$"):
        stage(*files, does=does)
    assert [do for do, _ in stage.requests] == ["end"]


def test_what_leads_to_a_service_is_not_set(stage, capsys):
    """docker-runner would not use it."""
    with pytest.raises(Refused, match=r"^on work: B leads to the app's own service: to set it, first take the role"):
        stage(b"A=1\n", services=["B"])
    assert [do for do, _ in stage.requests] == ["end"]
    stage(b"A=1\n", services=["B"], does={"action": "list"})
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["work:"],
        ["A"],
        ["B", "of", "a", "service"],
    ]


@pytest.mark.parametrize("stop", ["stage", "keep", "end"])
def test_what_is_staged_is_not_called_interrupted(stage, capsys, stop):
    """Ctrl-C stages nothing, or comes too late: then the command says that all is staged."""
    with pytest.raises(Interrupted) if stop == "stage" else contextlib.nullcontext():
        stage(b"A=1\n", stop=stop)
    staged = capsys.readouterr().out == "staged B: live with the next deploy\n"
    assert staged == ("keep" in dict(stage.requests)) == (stop != "stage")


def test_settings_are_listed_by_name(stage, capsys):
    stage(b"A=1\nC=1\nE=1\n", b"A=1\nC=2\nD=1\n", does={"action": "list"})
    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == [
        "work:",
        "A",
        "C staged: changed",
        "D staged: set",
        "E staged: unset",
    ]


AWAY = (
    "the old settings are back; changed: {}; newer ones are in /etc/default/*.env.{}.kept: set them again by"
    " slipway env set NAME"
)


def test_a_rollback_tells_what_it_takes_away():
    same = {"changed": ["A", "B"], "kept": "v2"}
    assert changes.restored_settings_warnings(
        {
            ("prepare", "web1"): same,
            ("prepare", "web2"): same,
            ("start", "web1"): {},
            ("prepare", "work"): {"changed": [], "kept": "v2.2"},
            ("prepare", "db"): {"changed": [], "kept": ""},
        }
    ) == {AWAY.format("A, B", "v2"): "web1, web2", AWAY.format("only comments", "v2.2"): "work"}
