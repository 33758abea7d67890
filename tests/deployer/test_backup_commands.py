"""The deployer's part of backups: status, watch, the points of a deploy, and the commands, on simulated hosts."""

import argparse
import asyncio
import hashlib
import json
from dataclasses import replace

import pytest

from deployer.agents import Agent, agents, fine
from deployer.clock import run
from deployer.conftest import fleet_of
from deployer.recipes import Plan
from deployer.test_backup import APART, NOW, TO, WELL
from slipway.deploy import __main__
from slipway.deploy.agent import backups as agent
from slipway.deploy.agent.host import Host, Problem
from slipway.deploy.backup.shell import told
from slipway.deploy.commands import backup, backups, docker_backup, dump, restore, watch
from slipway.deploy.config.ssh import Ssh
from slipway.deploy.errors import DeployError, Refused
from slipway.deploy.hosts import Hosts
from slipway.deploy.provisioning.fitness import Inspection
from slipway.deploy.rollout import points
from slipway.deploy.server import backups as server
from slipway.deploy.server.files import File

RESTORED = {"newest": NOW - 840, "tables": 26, "rows": 1204331, "migrations": ["shop 0001_initial"], "lost": 312}
RESTORED |= {"release": "build-41", "now": NOW, "unlogged": 0, "timeline": 3}


@pytest.fixture
def fleet(data):
    """web1 sends files, db1 the database."""
    return fleet_of(data, {"hosts": APART, "backup": TO, "media": "local"})


def answers_of(fleet, **changes):
    services = {"services": {"postgres": SERVICE}}
    return {**fine(fleet), "services": services, "backups": {**WELL, **changes}}


SERVICE = {"state": "active", "since": "Fri 2026-11-27 20:11:00 UTC", "version": "17.5", "size": "9 MB"}
SERVICE |= {"connections": "8", "outdated": False}


def test_status_has_a_line_and_fails_for_what_is_wrong(fleet, capsys):
    args = argparse.Namespace(hosts="", json=False)
    with agents(lambda host: Agent(answers_of(fleet))):
        asyncio.run(Hosts(fleet).status(args))
    shown = capsys.readouterr().out
    assert "on db1, web1: backup 1 min old, drilled" in shown and "backup:" not in shown
    stale = {**WELL["runs"], "wal": {"at": NOW - 60, "until": NOW - 7200, "problem": ""}}
    with agents(lambda host: Agent(answers_of(fleet, runs=stale, password_kept=False))):
        assert asyncio.run(Hosts(fleet).status(args)) == 1
    shown = capsys.readouterr().out
    assert "on db1: backup: the newest backup of changes is 2 h old" in shown
    assert "on db1: the password of the backups is on this host alone" in shown


@pytest.mark.parametrize("broken", [False, True])
def test_watch_has_a_rule(fleet, capsys, broken):
    """Also for a host that has only the database."""
    stopped = {"stopped": ["wal"] if broken else []}
    args = argparse.Namespace(hosts="", json=False, once=True)
    with agents(lambda host: Agent(answers_of(fleet, **stopped))):
        run(watch.handle(fleet, args))
    rule = "shop: backup: backup: the timer of wal does not run: slipway provision: db1"
    assert (rule in capsys.readouterr().out) == broken


def test_watch_hears_of_a_database_s_host_that_is_silent(fleet, capsys):
    args = argparse.Namespace(hosts="", json=False, once=True)
    with agents(lambda host: None if "db1" in host else Agent(answers_of(fleet))):
        assert run(watch.handle(fleet, args)) == 1
    assert "shop: services: cannot be reached: " in capsys.readouterr().out


# ---- provisioning ----


def test_what_provisioning_does(fleet):
    """Backups come last, as the repository may be away. Both hosts get the password, for root alone."""
    for name, timers in (("db1", ["base", "wal", "drill"]), ("web1", ["files"])):
        plan = Plan(fleet, name, Inspection(missing=frozenset({"restic"})))
        assert "install restic" in plan.names and plan.names[-1] == "prepare backups"
        assert plan.scripts[-1] == "docker-backup prepare shop"
        assert plan.files["/etc/default/shop.backup"] == ("RESTIC_PASSWORD=x\n", "600", "root", "root")
        units = [f"/etc/systemd/system/docker-backup-{timer}@shop.timer" for timer in timers]
        assert [path for path in plan.files if path.endswith("@shop.timer")] == units


def test_a_host_that_is_prepared_is_left_alone(fleet):
    files = [*server.program(), *server.files(fleet, fleet.hosts[1]), *server.unit_files(fleet, fleet.hosts[1])]
    known = [*files, File(server.keys_path("shop"), "RESTIC_PASSWORD=x\n", "600")]
    there = "".join(
        f"f|root|root|{file.mode}||{file.path}\n{hashlib.sha256(file.content.encode()).hexdigest()}  {file.path}\n"
        for file in known
    )
    assert "prepare backups" in Plan(fleet, "db1", there=there).names
    ready = {"docker-backup ready": "ready\n"}
    names = Plan(fleet, "db1", there=there, answers=ready).names
    assert "prepare backups" not in names and "install docker-backup" not in names


# ---- the points of a deploy ----


def test_a_deploy_notes_its_points_on_the_database_s_host(fleet):
    asked, told = [], []
    with agents(lambda host: Agent({"point": {}}, asked=asked) if "db1" in host else None):
        asyncio.run(points.note_point(fleet, "before", "build-42", told.append))
    assert asked == ["point"] and told == []


def test_a_backup_that_does_not_work_is_no_failure_of_a_deploy(fleet):
    told = []
    with agents(lambda host: None):
        asyncio.run(points.note_point(fleet, "commit", "build-42", told.append))
    assert told[0]["event"] == "warning" and told[0]["host"] == "db1"
    assert told[0]["text"].startswith("slipway restore will not know the commit of build-42: ")


def test_without_backups_nothing_is_noted(data):
    with agents(lambda host: pytest.fail("nobody is asked")):
        asyncio.run(points.note_point(fleet_of(data, {"hosts": APART}), "commit", "build-42", print))


# ---- the agent ----


def test_the_agent_tells_how_backups_went(tmp_path, monkeypatch):
    host = Host("shop", str(tmp_path))
    state = {"ActiveState": "active"}
    monkeypatch.setattr(Host, "states", lambda host, *units: dict.fromkeys(units, state))
    assert agent.collect(host)["runs"] == {} and agent.collect(host)["password_kept"] is False
    folder = tmp_path / "var/backups/shop"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(json.dumps({**WELL["runs"], "new": {"tags": {}}}))
    (tmp_path / "etc/default").mkdir(parents=True)
    (tmp_path / "etc/default/shop.backup.kept").touch()
    told = agent.collect(host)
    assert told["runs"] == WELL["runs"] and told["password_kept"] and told["stopped"] == []
    state["ActiveState"] = "failed"
    assert agent.collect(host)["stopped"] == [*agent.ACTIONS]
    (folder / "state.json").write_text("{")
    with pytest.raises(Problem, match=r"state.json is malformed"):
        agent.collect(host)


# ---- commands ----


def test_backups_lists_what_each_would_lose(fleet, capsys):
    listed = {"bases": [{"at": NOW - 9000, "until": NOW - 180, "bytes": 307e6}], "dumps": [], "files": NOW, "now": NOW}
    with agents(lambda host: Agent({"backups_listed": {**listed, "lost_since": []}})):
        asyncio.run(backups.handle(fleet, argparse.Namespace(json=False)))
    shown = capsys.readouterr().out.splitlines()
    assert shown[1].endswith("307 MB    3 min") and shown[2].startswith("files: 2026-")


def test_backups_offers_no_second_that_cannot_come_back(fleet, capsys):
    """Times are told in whole seconds: the first one is rounded up, the last one down. What is lost is named."""
    bases = [{"at": NOW - 8999.9, "until": NOW - 1800.1, "bytes": 1e6}, {"at": NOW - 60.5, "until": NOW, "bytes": 1e6}]
    lost = [[NOW - 1800.1, NOW - 60.5], [NOW + 0.5, None]]
    listed = {"bases": bases, "lost_since": lost, "dumps": [], "files": None, "now": NOW}
    with agents(lambda host: Agent({"backups_listed": listed})):
        asyncio.run(backups.handle(fleet, argparse.Namespace(json=False)))
    _, first, second, past, present = capsys.readouterr().out.splitlines()
    assert first.split("  ")[:2] == [told(NOW - 8999), told(NOW - 1801)]
    assert second.split("  ")[:2] == [told(NOW - 60), told(NOW)]
    assert past == f"no second after {told(NOW - 1801)} can be brought back until {told(NOW - 60)}"
    assert present == f"no second after {told(NOW)} can be brought back yet"


@pytest.fixture
def elsewhere(data):
    """The app's database is elsewhere, and dumped."""
    return fleet_of(data, {"hosts": {"web1": {"roles": ["web"]}}, "backup": {**TO, "dump": "postgres:17"}})


def test_dumps_of_a_database_elsewhere(elsewhere, capsys):
    listed = {"bases": [], "lost_since": [], "dumps": [NOW - 86400, NOW], "files": None, "now": NOW}
    with agents(lambda host: Agent({"backups_listed": listed})):
        asyncio.run(backups.handle(elsewhere, argparse.Namespace(json=False)))
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2 and shown[1].startswith("dump: 2026-")
    assert server.actions(elsewhere, elsewhere.hosts[0]) == ["files", "dump"]
    host, words = dump.dump_command(elsewhere, "latest")
    assert host.name == "web1" and words[-4:] == ["docker-backup", "print-dump", "shop", "latest"]
    assert dump.dump_command(elsewhere, "")[1][-1] == "shop"
    settings = json.loads(server.settings(elsewhere, host).content)
    assert settings["dump"] == "postgres:17" and settings["prunes"] is True


def test_backup_makes_a_dump_too(elsewhere, monkeypatch):
    asked = []
    monkeypatch.setattr(Ssh, "command", lambda self, host, words, **options: asked.append(words[-2]) or ["true"])
    assert asyncio.run(backup.handle(elsewhere, argparse.Namespace(password=False, new=False))) == 0
    assert asked == ["files", "dump"]


@pytest.mark.parametrize("new", [False, True])
def test_who_begins_anew_begins_with_files_too(fleet, monkeypatch, new):
    asked = []

    def command(self, address, words, **options):
        asked.append((address, words[words.index("docker-backup") + 1 :]))
        return ["true"]

    monkeypatch.setattr(Ssh, "command", command)
    assert asyncio.run(backup.handle(fleet, argparse.Namespace(password=False, new=new))) == 0
    database, web = fleet.hosts[1].address, fleet.hosts[0].address
    begun_anew = [(database, ["base", "shop", "--new"]), (web, ["files", "shop", "--new"])]
    assert asked == (begun_anew if new else [(database, ["base", "shop"])])


def test_no_dumps_are_kept_of_an_own_database(fleet, data):
    with pytest.raises(Refused, match="no dumps are kept of this database"):
        dump.dump_command(fleet, "latest")
    with pytest.raises(Refused, match=r"backup.dump: is for a database elsewhere"):
        fleet_of(data, {"hosts": APART, "backup": {**TO, "dump": "postgres:17"}})


def test_what_a_restore_tells_first(fleet):
    lines = restore.describe(fleet.hosts[1], RESTORED)
    assert lines[0].startswith("db1: restored: 26 tables, 1,204,331 rows, last changed 2026-")
    assert lines[0].endswith(f"last changed {told(NOW - 840)}; the release then was build-41")
    assert lines[1] == "db1: a swap loses 14 min, 312 transactions of the living database"
    assert "; 2 unlogged tables are empty; the" in restore.describe(fleet.hosts[1], {**RESTORED, "unlogged": 2})[0]
    assert "an unknown number of transactions" in restore.describe(fleet.hosts[1], {**RESTORED, "lost": None})[1]


def test_the_cure_for_a_release_that_does_not_fit():
    text = restore.refusal_of_swap(["shop.0002_note"], RESTORED)
    assert "the live release needs shop.0002_note, which" in text and "slipway rollback --to build-41, then" in text


def test_commands_that_have_nothing_to_work_on(data):
    without = fleet_of(data, {"hosts": APART, "backup": {}})
    for function in (docker_backup.backup_host, docker_backup.database_host):
        with pytest.raises(Refused, match=r"\[backup\]"):
            function(without)
    only_files = fleet_of(data, {"hosts": {"web1": {"roles": ["web"]}}, "backup": TO})
    assert docker_backup.backup_host(only_files).name == "web1"
    with pytest.raises(Refused, match="no host has the role postgres"):
        docker_backup.database_host(only_files)
    with pytest.raises(Refused, match="no host has the role postgres"):
        asyncio.run(dump.handle(only_files, argparse.Namespace(file="", at="")))


def test_a_dump_that_fails_leaves_no_file(fleet, tmp_path, monkeypatch):
    """A file that ends early would be taken for a dump."""
    path = tmp_path / "shop.dump"
    path.write_text("the last one")
    failing = ["sh", "-c", "echo a part; exit 3"]
    monkeypatch.setattr(Ssh, "command", lambda self, *words, **options: failing)
    with pytest.raises(DeployError, match="db1: there is no dump: nothing is kept here"):
        asyncio.run(dump.handle(fleet, argparse.Namespace(file=str(path), at="")))
    assert path.read_text() == "the last one" and len([*tmp_path.iterdir()]) == 1


class Away(Ssh):
    """No host can be reached."""

    def command(self, *words, **options):
        return ["sh", "-c", "echo 'ssh: connect to host db1 port 22: Connection refused' >&2; exit 255"]


@pytest.mark.parametrize(
    "words", [["backup", "--password"], ["upgrade", "postgres"], ["restore", "--swap"], ["backups"]]
)
def test_a_host_that_is_away_is_one_line(fleet, words):
    args = __main__.parse(words)
    with pytest.raises(DeployError, match=r"^on db1: cannot be reached: ssh: connect to host db1 port 22: [^\n]*$"):
        asyncio.run(args.handle(replace(fleet, ssh=Away()), args))
