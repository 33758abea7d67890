"""`make env` without a host: what becomes of an env file's text, and what is refused before any ssh."""

import argparse
import io
import os
import sys

import pytest

import proc
from slipway.deploy import __main__
from slipway.deploy.commands import env
from slipway.deploy.env import changes
from slipway.deploy.env.staging import ask
from slipway.deploy.errors import HostProblem, Locked, Refused
from slipway.deploy.ssh.connection import encoded
from deployer import clock
from deployer.agents import Agent, agents, fine, line

CURRENT = "# the shop\nSECRET_KEY=one\n\nMAIL_FROM=a@b.example\n"


CRLF = "# Ä\t\u2028\r\nA=1\r\nB=2\r\n\n"
STAGED = [  # APP.env, what is staged, what is set, what is unset → the new text; of what stays every byte is kept
    (CURRENT, None, {"SECRET_KEY": "two", "NEW": "a=b"}, (),
     "# the shop\nSECRET_KEY=two\n\nMAIL_FROM=a@b.example\nNEW=a=b\n"),
    (CURRENT, "A=1\n", {"B": "2"}, (), "A=1\nB=2\n"), (CURRENT, "", {"B": "2"}, (), "B=2\n"),
    (CURRENT, None, {}, ["SECRET_KEY"], "# the shop\n\nMAIL_FROM=a@b.example\n"),
    ("KEY_FILE=/run/secrets/KEY\n", None, {"KEY": "x"}, (), "KEY=x\n"),
    ("KEY=x\n", None, {"KEY_FILE": "/run/secrets/KEY"}, (), "KEY_FILE=/run/secrets/KEY\n"),
    (CRLF, None, {"B": "3"}, (), CRLF.replace("B=2\r", "B=3")), (CRLF, None, {}, ["A"], CRLF.replace("A=1\r\n", "")),
    ("A=1", None, {"B": "2"}, (), "A=1\nB=2\n")]


@pytest.mark.parametrize("current, following, values, unset, text", STAGED)
def test_what_is_staged(current, following, values, unset, text):
    """In its place, or last; on top of what is staged; NAME and NAME_FILE exclude each other."""
    assert changes.staged(current, following, values, unset) == text


@pytest.mark.parametrize("current, unset, said", [
    (CURRENT, ["NOTHING"], "NOTHING is not set"),
    ('A="planted"\n', (), "APP.env line 1: A is in quotes, which would be part of it: drop them")])
def test_what_is_not_built_upon(current, unset, said):
    """Malformed lines are named, without their value."""
    with pytest.raises(HostProblem) as caught:
        changes.staged(current, None, {"B": "1"}, unset)
    assert caught.value.args == (said,)


def test_differences_show_no_value():
    """Each name, and what the next deploy makes of it."""
    assert changes.differences("A=1\nB=1\nC=1\n", "A=1\nB=2\nD=1\n") == {
        "A": "", "B": "changed", "C": "unset", "D": "set"}
    assert changes.differences("A=1\n", None) == {"A": ""}
    assert changes.differences("A=1\n", "") == {"A": "unset"}


REFUSED = [
    ("A=1\n-----END\n", [], ["input line 2: not KEY=value", changes.HOLDS_LINES]),
    ("A='1'\n", [], ["input line 1: A is in quotes, which would be part of it: drop them"]),
    ("A=1\nA=2\n", [], ["input line 2: A is set a second time"]),
    ("A=1\n", ["A", "B"], ["no value for B"]),
    ("A=1\nB=2\n", ["A"], ["B was not asked for"]),
    ("A=\n", ["A"], ["no value for A"]),
    ("A=\n", [], ["A has no value: use env unset"]),
    ("# nothing\n", [], ["nothing to set: give NAME=value lines on stdin"]),
    ("SITE_URL=http://hc.example\nB=2\n", ["SITE_URL", "A"], [
        "no value for A", "B was not asked for", "SITE_URL is not https; only http://localhost may do without; for"
        " example SITE_URL=https://shop.example"]),
    ("SITE_URL=https://[planted\n", [], ["SITE_URL is malformed; for example SITE_URL=https://shop.example"]),
]


@pytest.mark.parametrize("url", ["https://hc.example:8443", "http://localhost:8000", "http://shop.localhost"])
def test_a_site_url_that_will_start(url):
    """https for all, http for this machine alone."""
    assert changes.read_values(f"SITE_URL={url}\n".encode(), []) == {"SITE_URL": url}


@pytest.mark.parametrize("text, names, said", REFUSED)
def test_what_is_no_setting_is_refused(text, names, said):
    """All that is wrong with the lines is told, a newline in a value with a word about set-file."""
    with pytest.raises(Refused) as caught:
        changes.read_values(text.encode(), names)
    assert str(caught.value).splitlines() == said


def run(monkeypatch, capsys, words, stdin=b""):
    """The exit code of the command line, and what it said on stderr."""
    monkeypatch.setenv("IMAGE", "registry.example/shop")  # as make does
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    code = __main__.main(words)
    return code, capsys.readouterr().err


def test_a_value_as_an_argument_is_refused_and_not_repeated(monkeypatch, capsys):
    """`env set NAME=value` would show the value in the process list; it is not printed either."""
    code, said = run(monkeypatch, capsys, ["env", "set", "KEY=planted"])
    assert code == 2 and said.startswith("deploy: KEY: give the name alone") and "planted" not in said


@pytest.mark.parametrize("words, said", [
    (["env", "set", "a-b"], "'a-b' is not the name of a setting"),
    (["env", "unset", "1A"], "'1A' is not the name of a setting"),
    (["env", "set-file", "KEY", "/nowhere/x"], "/nowhere/x: No such file or directory"),
])
def test_wrong_names_and_files(monkeypatch, capsys, words, said):
    """Names and files are checked before any host is asked."""
    assert run(monkeypatch, capsys, words) == (2, f"deploy: {said}\n")


def editor(tmp_path, monkeypatch, script):
    """An EDITOR that runs the script on its file, $1."""
    path = tmp_path / "my editor"
    path.write_text(f"#!/bin/sh\nset -eu\n{script}\n")
    path.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"'{path}'")


def test_an_editor_is_shown_the_names_in_a_private_file(tmp_path, monkeypatch):
    """The editor gets NAME= lines in a file that nobody else can reach, and the file is gone afterwards."""
    editor(tmp_path, monkeypatch, f"cp \"$1\" '{tmp_path}/seen'; dirname \"$1\" >'{tmp_path}/folder'\n"
                                  f"stat -c %a \"$(dirname \"$1\")\" >'{tmp_path}/mode'; echo A=new >\"$1\"")
    assert ask(["A", "B"]) == b"A=new\n"
    assert (tmp_path / "seen").read_text() == "A=\nB=\n"
    assert (tmp_path / "mode").read_text() == "700\n"
    assert not os.path.exists((tmp_path / "folder").read_text().strip())


def test_an_editor_that_fails_is_said(tmp_path, monkeypatch):
    """Leaving the editor with an error sets nothing."""
    editor(tmp_path, monkeypatch, "exit 1")
    with pytest.raises(Refused, match="set EDITOR, or give the lines on stdin"):
        ask(["A"])
    monkeypatch.setenv("EDITOR", "/nowhere/vi")
    with pytest.raises(Refused, match="/nowhere/vi"):
        ask(["A"])


def test_nothing_of_the_deployer_needs_django():
    """The deployer, provisioning aside, runs on a bare Python: no import leads to Django or pyinfra."""
    code = "import sys; sys.path.insert(0, '.')\n" \
           "from slipway.deploy import __main__\nfrom slipway.deploy.env import staging\n" \
           "from slipway.deploy.rollout import rollout\n" \
           "from slipway.deploy.provisioning import provision\n" \
           "print([name for name in sys.modules if name.split('.')[0] in ('django', 'pyinfra', 'gevent')])"
    done = proc.run([sys.executable, "-S", "-c", code], cwd=proc.ROOT)
    assert done.stdout == "[]\n", done.stderr


def test_what_is_no_text_is_refused(monkeypatch, capsys):
    """Bytes that are not UTF-8, on stdin or in a host's file: a line that names where, and no traceback."""
    assert run(monkeypatch, capsys, ["env", "set"], b"A=\xff\n") == (
        2, "deploy: input cannot be read: it is not UTF-8 text\n")


@pytest.fixture
def stage(fleet, monkeypatch):
    """stage(current, following, …): `set` the setting B where these are, or what `does` says; what the agent was asked
    to do."""
    def on(current, following=None, hosts="work", kept=None, does=None, **odd):
        told = []

        def read(message):
            return [line({"id": message["id"], "ok": {
                "settings": encoded(current), "staged": following and encoded(following),
                "kept": {name: encoded(content) for name, content in (kept or {}).items()}}})]

        def note(message):
            told.append((message["do"], message["args"]))
            return [line({"id": message["id"], "ok": {}})]
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"B=2\n")))
        odd = {"read_settings": read, "stage": note, "keep": note, "end": ended(told, "end"),
               "abort": ended(told, "abort"), **odd}
        on.told = told
        with agents(lambda: Agent(fine(fleet), odd)):
            clock.run(env.handle(fleet, argparse.Namespace(
                **{"action": "set", "names": [], "hosts": hosts, **(does or {})})))
        return told
    return on


def ended(told, word):
    """What an agent says whose lock ends."""
    def hear(message):
        told.append((word, {}))
        return [line({"id": LOCK, "ok": {"locked": None}})]
    return hear


LOCK = 1  # the first that the agent is told to do


def test_what_is_staged_is_kept_when_all_have_it(stage, capsys):
    """On each host first beside its place, then there; then the lock is given back, and it is said."""
    told = stage(b"A=\xc3\xa9\r\n", hosts="web1,work")
    assert [do for do, _ in told] == ["stage"] * 2 + ["keep"] * 2 + ["end"] * 2
    assert {args["settings"] for do, args in told if do == "stage"} == {encoded(b"A=\xc3\xa9\r\nB=2\n")}
    assert capsys.readouterr().out == "staged B: live with the next deploy\n"


KEPT = {"v2": b"A=1\nB=2\nC_FILE=/run/secrets/C.1\n", "v1": b"A='1'\n"}


@pytest.mark.parametrize("names, text", [
    ([], b"A=1\nB=2\nC_FILE=/run/secrets/C.1\n"), (["C_FILE"], b"A=9\nB=2\nC_FILE=/run/secrets/C.1\n")])
def test_what_a_rollback_has_replaced_is_staged(stage, names, text):
    """All of it that is not so, or what is named; what is staged beside it stays."""
    told = stage(b"A=9\nC=3\n", b"A=9\nC=3\nB=2\n", kept=KEPT,
                 does={"action": "restore", "kept": "v2", "names": names})
    assert [args["settings"] for do, args in told if do == "stage"] == [encoded(text)]


@pytest.mark.parametrize("kept, names, said", [
    ("v3", [], "nothing is kept as v3: see make env"), ("v2", ["D"], "D is not kept as v2"),
    ("v1", [], "APP.env.v1.kept line 1: A is in quotes, which would be part of it: drop them")])
def test_what_is_not_kept_is_not_staged(stage, kept, names, said):
    with pytest.raises(Refused, match=f"^on work: {said}$"):
        stage(b"A=9\n", kept=KEPT, does={"action": "restore", "kept": kept, "names": names})
    assert [do for do, _ in stage.told] == ["abort"]


def test_what_is_kept_is_listed_by_name(stage, capsys):
    """By the names that would be staged; no value is shown, and a malformed file keeps nobody from the list."""
    stage(b"A=1\n", kept={**KEPT, "v0": b"A=1\n"}, does={"action": "list"})
    assert capsys.readouterr().out.splitlines() == [
        "work:", "  A", "  kept as v2: B, C_FILE",
        "  kept as v1: APP.env.v1.kept line 1: A is in quotes, which would be part of it: drop them",
        "  kept as v0: nothing that is not set so"]


def test_a_rollback_tells_what_it_takes_away():
    """Hosts that say the same in a line; of a deploy there is nothing to be told."""
    same = {"changed": ["A", "B"], "kept": "v2"}
    assert changes.gone_back({("prepare", "web1"): same, ("prepare", "web2"): same, ("start", "web1"): {},
                              ("prepare", "work"): {"changed": [], "kept": "v2.2"}, ("prepare", "db"): {}}) == {
        "settings go back with the release: A, B; kept as v2, see make env": "web1, web2",
        "settings go back with the release: comments alone; kept as v2.2, see make env": "work"}


def test_what_fails_on_one_host_is_done_on_none(stage):
    """Nothing is kept, and each host is told to go back, which takes away what it had staged."""
    def full(message):
        return [line({"id": message["id"], "problem": "no room", "more": {}})]
    with pytest.raises(Refused, match="^on web1, work: no room$"):
        stage(b"A=1\n", hosts="web1,work", stage=full)
    assert [do for do, _ in stage.told] == ["abort"] * 2


def test_settings_that_are_locked_are_not_touched(stage):
    """Who holds the lock is told."""
    def locked(message):
        return [line({"id": message["id"], "ok": {"locked": "deploy v2 by ann"}})]
    with pytest.raises(Locked, match="^on work: locked: deploy v2 by ann$"):
        stage(b"A=1\n", lock=locked)
    assert stage.told == []


@pytest.mark.parametrize("files, said", [
    ((b"A=\xff\n",), "/etc/default/shop.env is not UTF-8 text"),
    ((b"A=1\n", b"A=\xff\n"), "/etc/default/shop.env.next is not UTF-8 text"),
    ((b"A=1\nA=2\n",), "APP.env line 2: A is set a second time")])
def test_a_host_s_malformed_file_is_left_alone(stage, files, said):
    """Nothing is staged on top of a file that is not understood byte for byte."""
    with pytest.raises(Refused, match=said):
        stage(*files)
    assert [do for do, _ in stage.told] == ["abort"]
