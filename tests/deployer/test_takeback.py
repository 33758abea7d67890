"""Takebacks, complete or not: processes of a team, folders, retired slots, the beat of the old release."""

import contextlib
import errno
import os
import time
from unittest import mock

import pytest

from deployer.machine import Machine, release, state
from deployer.simulated import OWN, Killed, world
from slipway.deploy.agent import disk, docker, images, releases, retirement, serve, slots, staging, takeback
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.host import Host, Problem
from slipway.deploy.agent.roles import Process
from slipway.deploy.agent.step_log import StepLog
from slipway.deploy.agent.steps import commit, migrate, switch
from slipway.deploy.agent.steps.table import KINDS, STEPS


def test_each_step_names_its_undo():
    """A takeback undoes what the steps name, and says of each what becomes of it. Those without an undo change nothing
    that a visitor or the next deploy meets."""
    assert {kind.undo for kind in KINDS.values() if kind.undo} == {*takeback.UNDOS}
    without = {name for name, kind in KINDS.items() if not kind.undo}
    assert without == {"begin", "pull", "publish", "ready", "watch", "commit"}
    assert all(kind.takeback for kind in KINDS.values())


@pytest.mark.parametrize("name", ["healthcheck", "shop-alerts", "shop-mail-a"])
def test_processes_are_asked_how_they_do(tmp_path, name):
    machine = Machine(tmp_path / "root", (OWN[1], Process("alerts", "manage sendalerts", False, "file")))
    with world(machine.host):
        machine.attempt("deploy", "v1")
        before = state(machine.host)
        machine.host.broken.add(name)
        machine.attempt("deploy", "v2")
        machine.at_rest()
    assert state(machine.host) == before and len(before[2]) == 5


@pytest.mark.parametrize("broken", ["shop-mail-b", "beat"])
def test_a_rollback_does_not_wait_for_what_no_visitor_meets(machine, broken):
    machine.attempt("deploy", "v2")
    said = []
    machine.say = said.append
    machine.host.broken.add(broken)
    machine.attempt("rollback", "v1")
    machine.at_rest("v1")
    role = broken.removeprefix("shop-").removesuffix("-b")
    told = [event["text"] for event in said if event["event"] == "unhealthy"]
    assert len(told) == 1 and told[0].startswith(f"not healthy, but the rollback goes on: {role} "), said


@pytest.mark.parametrize("lost", ["beat", "mail"])
def test_what_could_not_be_brought_back_is_not_forgotten(machine, monkeypatch, lost):
    host, before, start = machine.host, state(machine.host), machine.host.start
    old = {unit for unit, found in host.up.items() if found[0] == "v1"}
    machine.begun("deploy", "v2", -3)

    def broken(unit):
        if lost in unit:
            raise Problem("it does not start")
        start(unit)

    with monkeypatch.context() as patched:
        patched.setattr(host, "start", broken)
        machine.settle()
        assert old - {unit for unit, found in host.up.items() if found[0] == "v1"} == {
            unit for unit in old if lost in unit
        } and releases.read_attempt(host)
        machine.begun("deploy", "v3", 1)
    machine.settle()
    machine.at_rest()
    assert state(host) == before
    machine.attempt("deploy", "v3")
    machine.at_rest()


def test_a_process_that_ran_without_files_of_its_own_goes_back_to_the_committed_release(machine):
    disk.remove(*slots.release_files(machine.host, "beat"))
    machine.attempt("deploy", "v2", until=-3)
    machine.at_rest("v1")


def test_no_deploy_begins_where_visitors_do_not_come_back(machine, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(slots, "flip_back", mock.Mock(side_effect=Problem("no")))
        machine.attempt("deploy", "v2", until=-3)
        with pytest.raises(Problem, match="visitors are not back on slot b"):
            machine.begun("deploy", "v3", 1)
    machine.settle()
    machine.at_rest("v1")


def test_what_a_container_leaves_in_its_folder_stops_nothing(machine):
    for slot in "ab":
        for name in ("web.sock", "worker.pause"):
            os.makedirs(machine.host.slot(slot, name) + "/x")
    machine.attempt("deploy", "bad")
    machine.at_rest("v1")
    with mock.patch.object(disk, "touch", side_effect=OSError(errno.ENOSPC, "No space left on device")):
        machine.attempt("deploy", "v2")
    machine.at_rest("v2")


def test_one_offs_that_somebody_runs_are_left_alone(machine, monkeypatch):
    host, machine.host.one_offs["shop-migrate"] = machine.host, ""
    machine.attempt("deploy", "v2")
    machine.at_rest()
    assert host.one_offs == {"shop-migrate": ""} and releases.read_tag(host.tag) == release("v1")
    with monkeypatch.context() as silent:
        machine.begun("deploy", "v2", 3)
        silent.setattr(docker, "ask", mock.Mock(side_effect=Problem("docker does not answer")))
        machine.settle()
    machine.at_rest()


def test_a_one_off_does_not_outlive_its_deploy(machine, monkeypatch):
    def killed(name, extra):
        machine.host.one_offs[name] = extra[extra.index("--label") + 1]
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(machine.host, "docker_runner", killed)
        machine.attempt("deploy", "v2")
    machine.at_rest("v1")


def test_a_report_shows_the_lines_since_a_container_s_own_start(machine):
    attempt = machine.begun("deploy", "v2", 10)  # all steps before `replace`
    began = time.time()
    STEPS["replace"](machine.host, attempt, machine.say, seconds=0)
    assert attempt.log_of(machine.host.container("worker", attempt.noted["slot"]))[1] < began
    assert attempt.log_of("shop-beat")[1] > began


def test_an_upload_that_fails_shows_the_image_s_line(machine, monkeypatch):
    line = "collectstatic: s3://shop/static: NoSuchBucket"
    monkeypatch.setattr(machine.host, "docker_runner", lambda name, extra: (1, line))
    with pytest.raises(Problem, match=f"^collectstatic s3://shop/static failed: exit 1: {line}$") as failed:
        machine.begun("deploy", "v2", 4)
    assert failed.value.details["log"] == [line]


def test_what_migrate_tells(machine, monkeypatch):
    """Lines on locks reach the deployer. It stops trying to get a lock before it is killed, to report why."""
    attempt, said = machine.begun("deploy", "v2", 3), []
    call = mock.Mock(return_value=mock.Mock(returncode=0, stdout="  Applying shop.0002...\nlock: it waits\n OK\n"))
    monkeypatch.setattr(machine.host, "call", call)
    STEPS["migrate"](machine.host, attempt, said.append, seconds=300, max_lock=0.5)
    assert said == [{"event": "progress", "text": "lock: it waits"}]
    assert commit.record(attempt.noted, "committed")["migrations"] == "shop.0002; lock: it waits"
    assert "=-c lock_timeout=10s' -e LOCK_SECONDS=295 -e MAX_LOCK=0.5" in call.call_args.kwargs["env"]["EXTRA"]


def test_a_record_names_some_of_many_migrations():
    names = [f"shop.{number:04}" for number in range(12)]
    assert migrate.migrations_record(names, []) == ", ".join([*names[:10], "2 more"])
    assert migrate.migrations_record([], []) == ""


@pytest.mark.parametrize(
    "printed, named",
    [
        ("  Applying shop.0002... OK\n  Applying shop.0003...", "shop.0003"),
        ("  Applying shop.0002... OK", "no migration"),
    ],
)
def test_a_migration_that_takes_too_long_is_named(machine, monkeypatch, printed, named):
    attempt = machine.begun("deploy", "v2", 3)
    monkeypatch.setattr(
        machine.host,
        "call",
        lambda *words, **options: Host.call(machine.host, "sh", "-c", f"printf '{printed}'; exec sleep 60", timeout=1),
    )
    with pytest.raises(
        Problem, match=rf"^migrate .* 40 s, the limit of \[rollout\] migrate .*: {named} was under way$"
    ) as failed:
        STEPS["migrate"](machine.host, attempt, [].append, seconds=40, max_lock=0.5)
    assert failed.value.details["log"] == printed.splitlines()


def test_after_a_takeback_the_old_worker_alone_takes_tasks(machine):
    host, noted = machine.host, machine.begun("deploy", "v2", 8).noted
    switch.workers_back(host, noted)
    assert [os.path.exists(host.slot(noted[slot], "worker.pause")) for slot in ("live", "slot")] == [False, True]


def test_a_deployer_with_the_lock_can_ask_for_a_log(machine, monkeypatch):
    said = []
    args = {"name": "shop-web-a", "since": 1, "until": 2}
    monkeypatch.setattr(serve.facts, "last_lines", lambda host, **args: args)
    monkeypatch.setattr(serve, "say", said.append)
    attempt = Attempt(machine.host)
    serve.step(machine.host, attempt, StepLog(machine.host), {"id": 1, "do": "last_lines", "args": args})
    assert said == [{"id": 1, "ok": args}]


def test_secret_files_go_when_no_settings_name_them(machine):
    host, folder = machine.host, machine.host.secrets
    os.mkdir(folder)
    for number in range(4):
        disk.write(f"{folder}/KEY.{number}", "secret")
        disk.write(host.env + ".next", f"KEY_FILE=/run/secrets/KEY.{number}\n", 0o600)
        if number < 3:
            machine.attempt("deploy", f"v{number + 2}")
    disk.remove(host.slot_file(slots.other(slots.live(host)), "env"))  # KEY.1 is in the file to go back to, too
    staging.drop_secrets(host)
    assert sorted(os.listdir(folder)) == ["KEY.1", "KEY.2", "KEY.3"]


def test_retirement_leaves_alone_what_is_not_its_own(machine, monkeypatch):
    host = machine.host
    monkeypatch.setattr(images, "prune", mock.Mock())
    machine.attempt("deploy", "v2")
    live, up = slots.live(host), len(host.up)
    old = slots.other(live)
    retirement.retire(host, "shop", "5", live, "v2", "sha256:v2", "30")
    retirement.retire(host, "shop", "5", old, "v0", "sha256:v0", "30")
    assert len(host.up) == up
    retirement.retire(host, "shop", "5", old, "v1", "sha256:v1", "30")
    assert len(host.up) == up - 2 and slots.release_in(host, old) is None


@pytest.mark.parametrize("steps", [-4, -1], ids=["before prepare", "after prepare"])
def test_a_host_whose_disk_becomes_read_only(machine, steps):
    machine.begun("deploy", "v2", steps).note(promised=False)
    with read_only(machine.host.var):
        machine.settle()
        assert disk.read(machine.host.attempt) is None
    commit.drop_prepared(machine.host)
    machine.at_rest("v1")


@contextlib.contextmanager
def read_only(folder):
    """Make a folder's file system read-only; as in Linux, even the removal of a missing file fails."""

    def refusing(function):
        def call(path, flags=os.O_WRONLY, *rest):
            if str(path).startswith(folder) and flags & os.O_WRONLY:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
            return function(path, flags, *rest) if function is opened else function(path)

        return call

    opened = os.open
    with mock.patch.object(os, "unlink", refusing(os.unlink)), mock.patch.object(os, "open", refusing(opened)):
        yield


def test_a_takeback_names_the_errors_since_the_deploy_began(machine, monkeypatch):
    asked = []

    def find(host, since, tag, seconds):
        asked.append(since)
        return {"groups": []}

    monkeypatch.setattr(takeback.errors, "find", find)
    takeback.new_errors(machine.host, {"started": time.monotonic() - 600, "tag": "v2"})
    assert asked == [pytest.approx(-600, abs=60)]
