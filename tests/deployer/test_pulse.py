"""A host's words of every few seconds, and the steps of a deploy that it keeps for those who watch."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slipway.deploy.agent import pulse, releases, serve, step_log, takeback
from slipway.deploy.agent.host import Host, Problem
from slipway.deploy.agent.step_log import StepLog


@pytest.fixture
def host(tmp_path):
    for folder in ("run/shop", "var/www/shop", "proc", "etc/nginx/shop", "etc/default", "var/log"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal:  8000 kB\nMemFree:  1 kB\nMemAvailable:  3000 kB\n")
    return Host("shop", str(tmp_path))


def test_memory_and_disks(host):
    told = pulse.take(host)
    assert told["memory"] == {"free": 3000 * 1024, "size": 8000 * 1024} and told["cpus"] == os.cpu_count()
    assert [*told["disks"]] == ["/"], "folders of one disk are told once"
    assert 0 < told["disks"]["/"]["free"] < told["disks"]["/"]["size"]
    assert told["underway"] is None and told["steps"] == [] and told["traffic"] == {"buckets": [], "place": None}


def test_the_state_changes_with_what_visitors_get(host):
    os.makedirs(units := host.root + pulse.UNITS)
    seen = [pulse.take(host)["state"]]
    changes = (
        lambda: Path(host.tag).write_text("export TAG=v1\n"),
        lambda: os.symlink("a/web.sock", host.web_sock),
        lambda: Path(f"{host.root}/etc/nginx/shop/maintenance").touch(),
        lambda: Path(host.env).touch(),
        lambda: Path(host.log).touch(),  # a takeback that has ended between two looks
        lambda: os.symlink("86d8", f"{units}/invocation:shop-worker-a.service"),
        lambda: os.unlink(f"{units}/invocation:shop-worker-a.service"),
    )
    for change in changes:
        change()
        seen.append(pulse.take(host)["state"])
    assert len({*seen}) == 7 and seen[-1] == seen[-3], "a worker was started, and ended"
    assert time.time() - pulse.take(host)["closed"] < 60
    os.unlink(f"{host.root}/etc/nginx/shop/maintenance")
    assert pulse.take(host)["closed"] is None


def test_a_deploy_under_way(host):
    releases.save_attempt(host, {"action": "deploy", "tag": "v2", "who": "deploy v2 by ann", "started": 0.0})
    state, told = pulse.take(host)["state"], pulse.take(host)["underway"]
    assert {**told, "seconds": 1} == {"action": "deploy", "tag": "v2", "who": "deploy v2 by ann", "seconds": 1}
    os.makedirs(host.root + pulse.UNITS)
    os.symlink("86d8", f"{host.root}{pulse.UNITS}/invocation:shop-worker-a.service")
    os.symlink("86d8", f"{host.root}{pulse.UNITS}/invocation:shop-deploy.service")
    assert pulse.take(host)["state"] == state, "a deploy's own starts are no reason to ask for all"
    os.unlink(f"{host.root}{pulse.UNITS}/invocation:shop-deploy.service")
    assert pulse.take(host)["underway"] is None, "its process has died, as status tells"
    os.rename(host.root + pulse.UNITS, host.root + pulse.UNITS + "-gone")
    assert pulse.take(host)["underway"], "an older systemd does not say what runs"
    Path(host.attempt).write_text("{")
    assert pulse.take(host)["underway"] is None, "a damaged file is told by status"


@pytest.mark.parametrize(
    ("noted", "takeback"),
    [
        ({}, None),
        ({"promised": True, "cause": "the deployer is back"}, None),
        ({"promised": False, "cause": "web1: /readyz answers 503"}, "web1: /readyz answers 503"),
        ({"promised": False}, ""),
    ],
)
def test_a_takeback_is_told_with_its_cause(host, noted, takeback):
    releases.save_attempt(host, {"action": "deploy", "tag": "v2", "who": "", "started": 0.0, **noted})
    assert pulse.take(host)["underway"].get("takeback") == takeback


def test_a_takeback_of_a_dead_deployer_is_told_while_it_runs(host, monkeypatch):
    """The agent's end has said no cause."""
    seen = []
    monkeypatch.setenv("SERVICE_RESULT", "watchdog")
    monkeypatch.setattr(takeback, "UNDOS", (lambda host, attempt: seen.append(pulse.take(host)["underway"]),))
    monkeypatch.setattr(takeback.UNDOS[0], "__name__", "flip_back", raising=False)
    releases.save_attempt(host, {"action": "deploy", "tag": "v2", "image_id": "x", "who": "", "started": 0.0})
    takeback.take_back(host, releases.read_attempt(host), lambda event: None)
    [underway] = seen
    assert underway["takeback"] == "the deployer fell silent"
    assert releases.read_log(host)[0][-1]["cause"] == "the deployer fell silent"
    assert pulse.take(host)["underway"] is None


def test_a_takeback_goes_on_without_space_to_say_so(host, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    undone = []
    monkeypatch.setattr(releases, "save_attempt", full)
    monkeypatch.setattr(takeback, "UNDOS", (lambda host, attempt: undone.append(attempt["tag"]),))
    attempt = {"action": "deploy", "tag": "v2", "image_id": "x", "who": "", "started": 0.0}
    takeback.take_back(host, attempt, lambda event: None)
    assert undone == ["v2"]


# ---- steps ----


def test_steps_are_kept_with_their_seconds(host):
    steps, seen = StepLog(host), []
    assert steps.run("pull", lambda: seen.append(step_log.steps_under_way(host)) or "its answer") == "its answer"
    [[running]] = seen
    assert running["step"] == "pull" and running["state"] == "start" and "seconds" not in running
    with pytest.raises(ValueError, match="no"):
        steps.run("start", fails)
    with pytest.raises(Problem, match="503"):
        steps.run("ready", has_problem)
    done, failed, unready = step_log.steps_under_way(host)
    assert (done["state"], failed["state"]) == ("done", "failed") and 0 <= done["seconds"] < 5
    assert (unready["state"], unready["problem"]) == ("failed", "/readyz answers 503") and "problem" not in done


def fails():
    raise ValueError("no")


def has_problem():
    raise Problem("/readyz answers 503")


def test_a_full_disk_changes_nothing(host):
    os.mkdir(f"{step_log.path(host)}.new")
    assert StepLog(host).run("pull", lambda: 7) == 7
    assert step_log.steps_under_way(host) == []


def test_steps_of_a_process_that_has_ended_are_over(host):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    Path(step_log.path(host)).write_text(json.dumps({"pid": ended.pid, "steps": [{"step": "pull"}]}))
    assert step_log.steps_under_way(host) == []


def test_a_process_that_is_killed_while_it_writes_leaves_no_file(host, monkeypatch):
    monkeypatch.setattr(serve, "Host", lambda app: host)
    StepLog(host).run("pull", int)
    Path(f"{step_log.path(host)}.new").write_text('{"pid"')
    serve.main("/agent", ["takeback", "shop"])
    assert [name for name in os.listdir(host.run) if name.startswith("steps")] == []


@pytest.mark.parametrize("text", ["{", "[]", '{"pid": "x"}', '{"pid": 1}', '{"pid": 1, "steps": 7}'])
def test_a_damaged_file_is_no_failure(host, text):
    Path(step_log.path(host)).write_text(text)
    assert step_log.steps_under_way(host) == []
