"""Complete reports: the problems of all hosts at once, and the cause of every refusal."""

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from deployer.agents import Agent, agents, fine, line
from deployer.clock import run
from deployer.test_validate import outcome_of, rollout
from proc import ROOT, wait_until
from slipway.deploy.commands import status
from slipway.deploy.commands.deploy import run_when_unlocked
from slipway.deploy.errors import DeployError, Locked, Refused
from slipway.deploy.rollout.report import TRACEBACK
from slipway.deploy.rollout.rollout import success_text
from slipway.deploy.ssh.interrupts import SIGNALS

TAKEN_BACK = "\ntaken back: the old release serves everywhere"
CURE = "; correct the cause, then deploy again"


@pytest.mark.parametrize(
    "odd, expected", [({"facts": lambda message: [b"[]\n"]}, "invalid answer"), (None, "cannot be reached")]
)
def test_one_host_that_does_not_answer_hides_nothing(fleet, odd, expected):
    base = fine(fleet)
    base["facts"]["tasks"] = ["a"]
    amiss = {**base, "facts": {**base["facts"], "problems": ["something is amiss"], "notes": ["closed"]}}
    hosts = {"root@web1.example": odd and Agent(base, odd), "web2": Agent(amiss), "work": Agent(base)}
    with agents(hosts.get), pytest.raises(Refused) as refused:
        run(rollout(fleet)[0].plan())
    with agents(hosts.get), contextlib.redirect_stdout(io.StringIO()) as out:
        assert run(status.handle(fleet, SimpleNamespace(json=False, hosts=""))) == 1
    for text in (str(refused.value), out.getvalue()):
        assert expected in text and "something is amiss" in text
    assert "v1" in out.getvalue()
    assert out.getvalue().endswith("\non web2: closed\na\n"), "tasks are the site's, told once and of no host"


def test_what_the_registry_lacks_is_told_with_what_is_amiss(fleet):
    alone = replace(fleet, hosts=fleet.hosts[:1])
    base = fine(alone)
    base["facts"]["problems"] = ["something is amiss"]
    made, _ = rollout(alone)
    odd = {"resolve": lambda message: [line({"id": message["id"], "problem": "no such tag", "details": {}})]}
    with agents(lambda host: Agent(base, odd)), pytest.raises(Refused) as refused:
        run(made.plan())
    assert str(refused.value).splitlines() == ["on web1: no such tag", "on web1: something is amiss"]


def test_a_host_forges_no_line(fleet):
    answers = fine(fleet)
    found = answers["facts"]
    forged = "active\nweb9  web  v2  a  active\non web9: all is well"
    found["slots"]["a"]["units"]["web"].update(state=forged, health=forged, since=forged)
    found.update(problems=[forged], lock=forged, notes=[forged])
    with agents(lambda host: Agent(answers)), contextlib.redirect_stdout(io.StringIO()) as out:
        assert run(status.handle(fleet, SimpleNamespace(json=False, hosts=""))) == 1
    lines = out.getvalue().splitlines()
    assert not [text for text in lines if text.startswith(("web9", "on web9"))], lines
    assert [text for text in lines if text.startswith("web1 ") and "active\\nweb9" in text]


@pytest.mark.parametrize("step, expected", [("ready", ": KeyError: 'x'"), ("migrate", ": KeyError: 'x'"), ("flip", "")])
def test_releases_log_has_the_cause_that_a_deploy_prints(fleet, step, expected):
    """Before the first flip, the log is read first. Later a takeback waits for nothing."""
    asked, log = [], [json.dumps({"message": "no boot", "exception": f"{TRACEBACK}:\n  File x\nKeyError: 'x'"}), "bye"]

    def fail(message):
        more = {"log_of": ["shop-web-b", 1, 2], **({"log": log} if step == "migrate" else {})}
        return [line({"id": message["id"], "problem": "web exited", "details": more})]

    odd = {
        step: fail,
        "abort": lambda message: asked.append(message["abort"]["cause"]),
        "last_lines": lambda message: asked.append("") or [line({"id": message["id"], "ok": {"log": log}})],
    }
    assert "KeyError: 'x'" in str(outcome_of(fleet, odd)[0])
    causes = [cause.partition(": ")[2] for cause in asked if cause]
    assert {*causes} == {f"{step}: web exited{expected}"} and (asked[0] == "") is (step == "ready")


@pytest.mark.parametrize("step", ["pull", "verdicts", "upload", "ready"])
def test_a_step_that_fails_is_told_with_what_became_of_it(fleet, step):
    def fail(message):
        return [line({"id": message["id"], "problem": "no room", "details": {"body": "broken", "log": ["boom"]}})]

    error, _ = outcome_of(replace(fleet, static={"publish": "s3://shop"}), {step: fail})
    first, *lines, last = str(error).splitlines()
    assert first in {f"{name}: {step}: no room" for name in ("web1", "web2", "work")}, error
    assert last == TAKEN_BACK[1:] + CURE
    assert lines == ["  it answered: broken", "  | boom"] and error.exit_code == 1


@pytest.mark.alone
@pytest.mark.parametrize(
    "words, number, name, code, reported",
    [
        ("deploy v2", signal.SIGTERM, "silent", 2, "slipway: interrupted by SIGTERM: nothing was changed\n"),
        ("env list", signal.SIGINT, "mute", 130, "slipway: interrupted\n"),
        ("provision", signal.SIGINT, "silent", 130, "slipway: interrupted\n"),
        *(("watch --once", number, "silent", 130, "slipway: interrupted\n") for number in SIGNALS[:2]),
        *(("watch", number, "silent", 0, "") for number in SIGNALS[:2]),
    ],
)
def test_who_waits_for_a_silent_host_can_leave(stub, words, number, name, code, reported):
    process = subprocess.Popen(
        [sys.executable, "-m", "slipway.deploy", *words.split()],
        cwd=ROOT,
        text=True,
        env={**os.environ, "HOSTS": name, "APP": "shop", "IMAGE": "registry.example/shop"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    pid = wait_until((stub / "pid").read_text, 30, "ssh was called")
    began = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert time.monotonic() - began < 15 and (process.returncode, said) == (code, reported)
    assert not os.path.exists(f"/proc/{pid.strip()}"), "its ssh is gone"


@pytest.mark.parametrize(
    "step, number, expected",
    [
        ("facts", signal.SIGINT, ""),
        ("resolve", signal.SIGINT, ""),
        ("lock", signal.SIGINT, ""),
        *(("ready", number, TAKEN_BACK) for number in SIGNALS),
    ],
)
def test_a_deploy_that_waits_can_be_interrupted(fleet, step, number, expected):
    asked, again = [], []

    def interrupt(message):
        asked.append(message)
        if len(asked) == 1:  # the first of three hosts
            threading.Timer(0.1, os.kill, (os.getpid(), number)).start()
        return []

    def once_more(message):
        again.append(os.kill(os.getpid(), number))

    error, _ = outcome_of(fleet, {step: interrupt, "abort": once_more}, asyncio.run)
    assert len(again) == 3 or step != "ready"
    assert f"interrupted by {number.name}{expected}" in str(error), error


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("step", ["promise", "commit", "end"])
def test_an_interrupt_during_the_commit_is_too_late(fleet, number, step):
    def interrupted(message):
        os.kill(os.getpid(), number)
        time.sleep(0.05)
        return [line({"id": message["id"], "ok": {"seen": None}})] if step != "end" else []

    asked = []
    made, _ = rollout(fleet)
    with agents(lambda host: Agent(fine(fleet), {step: interrupted} if step != "end" else {}, asked)):
        if step == "end":
            made.tell = lambda event: os.kill(os.getpid(), number) if event.get("step") == "commit" else None
        run(made.run())
    assert asked.count("commit") == 3 and "abort" not in asked


@pytest.mark.parametrize(
    "hook, lock, message",
    [
        ("", None, ""),
        ("", "retirement of slot b", ""),
        ("", "deploy v1 by ann", "on web1, web2, work: locked: deploy v1 by ann"),
        ("; exit 3", None, "^hooks.before stopped the rollout: .*exit 3: exit code 3$"),
    ],
)
def test_who_is_locked_out_begins_nothing(fleet, tmp_path, hook, lock, message):
    asked, answers = [], fine(fleet)
    answers["facts"]["lock"] = lock
    made, _ = rollout(replace(fleet, hooks={**fleet.hooks, "before": f"touch {tmp_path}/hooked{hook}"}))
    with (
        agents(lambda host: Agent(answers, asked=asked)),
        pytest.raises(DeployError, match=message) if message else contextlib.nullcontext(),
    ):
        asyncio.run(made.run())
    assert ((tmp_path / "hooked").exists(), asked.count("lock")) == (bool(hook) or not message, 0 if message else 3)


HELD, REFUSED = Locked("locked on web1: deploy v1 by ann"), Refused("no such tag")


@pytest.mark.parametrize(
    "seconds, tries, tried, reported",
    [
        (25, [HELD, HELD, "done"], 3, 2),
        (25, [HELD, HELD, HELD, "never"], 3, 2),
        (0, [HELD, "never"], 1, 0),
        (25, [REFUSED, "never"], 1, 0),
    ],
)
def test_a_lock_is_waited_for(seconds, tries, tried, reported):
    left, said = list(tries), []

    async def try_():
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    try:
        outcome = run(run_when_unlocked(SimpleNamespace(run=try_, tell=said.append), seconds))
    except Exception as error:
        outcome = error
    assert outcome is tries[tried - 1] and left == tries[tried:]
    assert said == [{"event": "waiting", "text": f"{HELD}; waiting for it"}] * reported


def test_the_summary_says_how_long_visitors_waited():
    watched = {
        "web1": {"answers": 3, "errors": 0, "speeds": [[0.5, 0.25], [1, 0.125]]},
        "web2": {"answers": 4, "errors": 1, "speeds": [None, [2.5, 0.1]]},
    }
    assert success_text({"tag": "v2", "hosts": ["web1", "web2"]}, 9, watched) == (
        "v2 is live on web1, web2 (9.0 s, 7 requests seen, 1 errors)\n"
        "answers: slowest 2.50 s, 99% within 0.12 s; before: slowest 0.50 s, 99% within 0.25 s"
    )
