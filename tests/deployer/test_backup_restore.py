"""docker-backup's restores, swaps and drills: nothing that fails harms the living database."""

import json
import os

import pytest

from deployer.backup_host import Repository, room, with_wal
from deployer.test_backup import FIRST, WALS
from slipway.deploy.backup import copy, drill, restore, shell, state
from slipway.deploy.backup.copy import Copy
from slipway.deploy.backup.shell import Problem


def restored(settings, volume="shop-postgres-2"):
    Copy(settings, "restored")
    os.makedirs(settings.folder, exist_ok=True)
    with open(f"{settings.folder}/restored.json", "w") as file:
        json.dump({"volume": volume, "rows": 1}, file)


def image_of(settings):
    return shell.assignments(f"{settings.etc}/shop-postgres.image")


def test_a_swap(settings, host):
    """The service runs on the restored volume; the old one stays. A new base backup begins, as WAL goes another way."""
    restored(settings)
    host.answers["SELECT 1"] = "1"
    restore.swap(settings, Repository())
    assert host.ran("ALTER ROLE base_backup PASSWORD"), "old passwords are back"
    assert image_of(settings)["DATA"] == "shop-postgres-2"
    assert host.ran("restart docker-service@shop-postgres.service") and not host.ran("volume rm")
    assert host.ran("start --no-block docker-backup-base@shop.service")
    assert not os.path.exists(f"{settings.folder}/restored.json")


def test_nothing_to_swap(settings, host):
    with pytest.raises(Problem, match="nothing has been restored"):
        restore.swap(settings, Repository())
    assert host.said == []


def test_a_restore_begins_with_the_newest_changes(settings, host, monkeypatch):
    """The orders of the last minute come back. If the living database is dead, what was sent does."""
    with_wal(settings, 1)
    made = []
    monkeypatch.setattr(Copy, "make", lambda self, repository, choice: made.append(choice))
    repository = Repository([FIRST], WALS)
    repository.call = lambda *words, fine: ""
    restore.beside(settings, repository, "latest")
    host.answers["coalesce(wal_status"] = Problem("no such container")
    restore.beside(settings, repository, "latest")
    assert repository.kept == [(["wal"], "wal")] and len(made) == 2


def test_a_restored_database_that_does_not_answer_is_swapped_back(settings, host, monkeypatch):
    restored(settings)
    monkeypatch.setattr(restore, "ANSWER", 0)
    with pytest.raises(Problem, match="so the old one serves on"):
        restore.swap(settings, Repository())
    assert image_of(settings)["DATA"] == "shop-postgres"
    assert len(host.ran("restart docker-service@shop-postgres.service")) == 2
    assert host.said[-1].endswith("start docker-service@shop-wal.service")


def test_the_living_database_s_volume_is_never_removed(settings, host):
    restored(settings, "shop-postgres")
    Copy(settings, "restored").remove()
    assert not host.ran("volume rm")
    restored(settings, "shop-postgres-2")
    Copy(settings, "restored").remove()
    assert host.ran("docker volume rm -f shop-postgres-2")


def test_the_cause_of_a_database_that_does_not_start():
    log = "1 LOG:  starting\n2 FATAL:  could not open file\n3 LOG:  database system is shut down\n"
    assert copy.cause(log) == "2 FATAL:  could not open file"
    assert copy.cause("exec: no such file\n") == "exec: no such file"


def test_a_restored_database_may_have_fewer_connections(settings, host):
    """As a hot standby it would end, for want of the living one's max_connections."""
    os.makedirs(f"{settings.folder}/restored")
    Copy(settings, "restored").start("shop-postgres-2", [])
    assert host.ran("-c hot_standby=off")


def test_a_second_database_needs_disk_and_memory(settings, host, monkeypatch):
    os.makedirs(f"{settings.root}/proc")
    with open(f"{settings.root}/proc/meminfo", "w") as file:
        file.write("MemAvailable:  500000 kB\n")
    FIRST.tags["bytes"] = "1000000000"
    room(monkeypatch, free=1_000_000_000)
    with pytest.raises(Problem) as problem:
        copy.check_room(settings, restore.choose([FIRST], WALS, restore.Target()))
    assert "free, a restore needs 1,1" in str(problem.value) and "512 MB of memory are available" in str(problem.value)


# ---- drills ----


def drilled(settings, monkeypatch, made):
    monkeypatch.setattr(Copy, "make", lambda self, repository, choice: made)
    repository = Repository([FIRST], WALS)
    repository.call = lambda *words: ""
    drill.run(settings, repository)


def test_a_drill_compares_the_migrations(settings, host, monkeypatch):
    """It fails if one is missing that was applied before, and leaves nothing."""
    host.answers["django_migrations WHERE applied"] = "shop 0001_initial\nshop 0002_note"
    made = {"rows": 5, "tables": 2, "seconds": 1, "until": 9e9, "migrations": ["shop 0001_initial"]}
    with pytest.raises(Problem, match="lacks migrations that were applied before: shop 0002_note"):
        drilled(settings, monkeypatch, made)
    assert "lacks migrations" in state.load(settings)["drill"]["problem"]
    assert host.ran("docker rm -f shop-drill")
    drilled(settings, monkeypatch, {**made, "migrations": ["shop 0001_initial", "shop 0002_note"]})
    assert state.load(settings)["drill"]["rows"] == 5 and state.load(settings)["drill"]["problem"] == ""


def test_a_drill_of_an_old_backup_fails(settings, host, monkeypatch):
    with pytest.raises(Problem, match=r"the newest backup is .* s old, although WAL goes to the repository each 300 s"):
        drilled(settings, monkeypatch, {"rows": 5, "tables": 2, "seconds": 1, "until": 1000, "migrations": []})
