"""`slipway restore` and `drill`: what they ask and send, also while the database is dead."""

import argparse
import asyncio
import contextlib
import subprocess
from dataclasses import replace

import pytest

from deployer.conftest import fleet_of
from deployer.test_backup import APART, NOW, TO
from deployer.test_backup_commands import RESTORED, Away
from slipway.deploy import moments
from slipway.deploy.commands import docker_backup, drill, restore
from slipway.deploy.errors import HostProblem, Refused

ARGS = {"at": "latest", **dict.fromkeys(("beside", "swap", "migrate", "files", "discard", "yes"), False)}
# Stands in for docker-runner: the database is dead, and the release tells its migrations only by an empty one.
RUNNER = """#!/bin/sh
echo "$*" >>calls
case ${EXTRA:-} in
    *sqlite*) printf '[ ]  shop.0001_initial\\n[ ]  shop.0002_note\\n' ;;
    *) echo refused >&2; exit 1 ;;
esac
"""


@pytest.fixture
def fleet(data):
    """web1 has the app and its files, db1 the database."""
    return fleet_of(data, {"hosts": APART, "backup": TO, "media": "local"})


@pytest.fixture
def work(monkeypatch):
    """What a restore does on hosts: (action, words…), ("asked", question) and ("swap", if it migrates)."""
    done = []

    async def run(fleet, host, action, *words):
        done.append((action, *words))
        return 0

    async def answer(fleet, host, request):
        return RESTORED

    async def swap(fleet, host, reached, migrate):
        done.append(("swap", migrate))

    async def reachable(fleet, host):
        return fleet.hosts

    monkeypatch.setattr(restore, "run_docker_backup", run)
    monkeypatch.setattr(drill, "run_docker_backup", run)
    monkeypatch.setattr(restore, "ask_agent", answer)
    monkeypatch.setattr(restore, "swap", swap)
    monkeypatch.setattr(restore, "reachable", reachable)
    monkeypatch.setattr(restore, "confirm", lambda question: done.append(("asked", question)))
    return done


def restored(fleet, **args):
    return asyncio.run(restore.handle(fleet, argparse.Namespace(**{**ARGS, **args})))


def release_needs(monkeypatch, *migrations):
    async def plan(fleet, host):
        return "".join(f"[X]  {name}\n" for name in migrations)

    monkeypatch.setattr(docker_backup, "plan", plan)


def test_a_restore_asks_before_it_swaps(fleet, work, monkeypatch):
    release_needs(monkeypatch, "shop.0001_initial")
    with pytest.raises(Refused, match="the living database serves on"):
        restored(fleet, at="2026-11-24 02:20 UTC")
    assert work[0] == ("beside", f"@{1_795_486_800.0}") and work[-1][0] == "asked" and "unknown" not in work[-1][1]
    del work[:]
    assert restored(fleet, yes=True) == 0
    assert work == [("beside", "latest"), ("swap", False), ("put-back", str(NOW - 840))]


def test_a_release_that_needs_more_is_refused_unless_it_may_migrate(fleet, work, monkeypatch):
    release_needs(monkeypatch, "shop.0001_initial", "shop.0002_note")
    with pytest.raises(Refused, match=r"the live release needs shop\.0002_note, which the restored database lacks"):
        restored(fleet, yes=True)
    restored(fleet, yes=True, migrate=True)
    assert ("swap", True) in work


def test_who_cannot_compare_migrations_is_asked(fleet, work, capsys):
    """The app may be lost with the database: that is no reason to bring none back."""
    away = replace(fleet, ssh=Away())
    with pytest.raises(Refused, match="the living database serves on"):
        restored(away)
    assert "Whether the restored database has the live release's migrations is unknown. Visitors" in work[-1][1]
    [told] = capsys.readouterr().err.splitlines()
    assert told.startswith("the live release cannot tell its migrations: on web1: cannot be reached: ssh")
    restored(away, yes=True)
    restored(away, yes=True, migrate=True)
    assert [words for words in work if words[0] == "swap"] == [("swap", False), ("swap", True)]


class Reached:
    """Connections of which some cannot be opened; what was run there."""

    away = ("web1",)

    def __init__(self, fleet, hosts):
        self.hosts = [host for host in hosts if host.name not in self.away]

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        pass

    async def reach(self):
        return {name: ["cannot be reached: ssh: no route"] for name in self.away}


def test_a_restore_needs_only_the_database_s_host(fleet, monkeypatch, capsys):
    """The web server may be what is lost. Its uploads come back by a command that is told, which reads its own time."""
    done = []

    @contextlib.asynccontextmanager
    async def locked(fleet, hosts, what, bare):
        done.append(("locked", [host.name for host in hosts]))
        yield None

    @contextlib.asynccontextmanager
    async def page_meanwhile(fleet, hosts):
        done.append(("page", [host.name for host in hosts if host.has("web")]))
        yield

    async def run_and_print(connections, host, script, seconds):
        done.append((host.name, script))

    for name, function in {"locked": locked, "page_meanwhile": page_meanwhile, "run_and_print": run_and_print}.items():
        monkeypatch.setattr(restore, name, function)
    monkeypatch.setattr(restore, "Connections", Reached)
    db1 = fleet.postgres_host
    reached = asyncio.run(restore.reachable(fleet, db1))
    assert capsys.readouterr().err == "web1: cannot be reached: ssh: no route: the database comes back without it\n"
    asyncio.run(restore.swap(fleet, db1, reached, False))
    assert ("locked", ["db1"]) in done and ("db1", "docker-backup swap shop") in done and ("page", []) in done
    assert asyncio.run(restore.put_back(fleet, reached, RESTORED)) is None
    said = capsys.readouterr().err
    assert "web1: its uploads are as they were: later, run slipway restore --files --at " in said
    assert float(moments.parse_latest(said.split('"')[1])) == pytest.approx(RESTORED["newest"], abs=1)
    del done[:]
    with pytest.raises(Refused, match="no host with the app can be reached, so the living database serves on"):
        asyncio.run(restore.swap(fleet, db1, reached, True))
    monkeypatch.setattr(Reached, "away", ("db1",))
    with pytest.raises(Refused, match=r"^on db1: cannot be reached"):
        asyncio.run(restore.reachable(fleet, db1))
    assert not done


def test_another_host_tells_migrations(data, monkeypatch, capsys):
    """The first one may be away, or new, without a release."""
    hosts = {name: {"roles": ["web", "worker"]} for name in ("web1", "web2", "web3")}
    hosts["web1"]["roles"] = ["web", "worker", "beat"]
    answers = {"web2": "", "web3": "[X]  shop.0001_initial\n"}

    async def plan(fleet, host):
        if host.name not in answers:
            raise HostProblem("cannot be reached")
        return answers[host.name]

    monkeypatch.setattr(docker_backup, "plan", plan)
    fleet = fleet_of(data, {"hosts": hosts})
    assert asyncio.run(docker_backup.release_migrations(fleet)) == ["shop 0001_initial"]
    assert capsys.readouterr().err == "the live release cannot tell its migrations: on web1: cannot be reached\n"
    answers["web3"] = ""
    assert asyncio.run(docker_backup.release_migrations(fleet)) is None
    answers["web1"] = ""
    assert asyncio.run(docker_backup.release_migrations(fleet)) == []


def test_a_drill_needs_no_release(fleet, work, monkeypatch, capsys):
    assert asyncio.run(drill.handle(replace(fleet, ssh=Away()), argparse.Namespace())) == 0
    release_needs(monkeypatch, "shop.0001_initial", "shop.0002_note")
    asyncio.run(drill.handle(fleet, argparse.Namespace()))
    assert work == [("drill", ""), ("drill", "shop 0001_initial,shop 0002_note")]


@pytest.mark.parametrize(
    ("live", "runner", "code", "told", "calls"),
    [
        (True, RUNNER, 0, "[ ]  shop.0001_initial\n[ ]  shop.0002_note\n", 2),
        (True, RUNNER.replace("*sqlite*", "''"), 0, "[ ]  shop.0001_initial\n[ ]  shop.0002_note\n", 1),
        (True, RUNNER.replace("*sqlite*", "none"), 1, "", 2),
        (False, RUNNER, 0, "", 0),
    ],
)
def test_a_release_tells_its_migrations_without_the_database(tmp_path, live, runner, code, told, calls):
    """The living database is asked first: the team's settings may need it. Without a release nothing is needed."""
    (tmp_path / "docker-runner").write_text(runner)
    (tmp_path / "docker-runner").chmod(0o755)
    (tmp_path / "shop").mkdir()
    if live:
        (tmp_path / "shop/TAG").touch()
    (tmp_path / "calls").touch()
    plan = docker_backup.PLAN.replace("/var/www", str(tmp_path))
    done = subprocess.run(
        ["sh", "-c", plan, "sh", "shop"],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, told, "refused\n" if code else "")
    assert (tmp_path / "calls").read_text() == "shop manage showmigrations --plan\n" * calls
