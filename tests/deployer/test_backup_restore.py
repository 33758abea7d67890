"""docker-backup's restores, swaps and drills: nothing that fails harms the living database."""

import json
import os
import threading
from dataclasses import replace
from unittest import mock

import pytest

from deployer.backup_host import Repository, room, with_wal
from deployer.test_backup import FIRST, SECOND, WALS
from slipway.deploy.backup import copy, drill, progress, restore, shell, state
from slipway.deploy.backup.copy import Copy
from slipway.deploy.backup.repository import Snapshot
from slipway.deploy.backup.shell import Problem


class Killed(BaseException):
    """The end of docker-backup in the middle of its work."""


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


def test_a_swap_that_was_killed_goes_on(settings, host, capsys):
    """Wherever it was killed: with the restored container gone, and the service on the new volume or not. The volume
    that is named at the end is that of before."""
    restored(settings)
    host.answers |= {"SELECT 1": "1", "CREATE ROLE base_backup": Killed()}
    with pytest.raises(Killed):
        restore.swap(settings, Repository())
    settings = replace(settings)  # as in another process
    assert image_of(settings)["DATA"] == "shop-postgres-2"
    del host.answers["CREATE ROLE base_backup"]
    host.answers = {"docker exec -i shop-restored": Problem("no such container"), "xmax": "7", **host.answers}
    assert restore.read(settings)["volume"] == "shop-postgres-2" and restore.lost(settings) is None
    restore.swap(settings, Repository())
    assert not host.ran("docker stop -t 60 shop-restored") and not host.ran("volume rm")
    assert host.ran("start --no-block docker-backup-base@shop.service")
    assert "the data of before are in the volume shop-postgres:" in capsys.readouterr().out


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


def test_a_new_host_gets_the_points_of_the_newest_changes(settings, monkeypatch):
    """Of a clock that was set back, the newest by its time are not the newest."""
    [newest] = [wal for wal in WALS if wal.tags["base"] == SECOND.tags["base"]]
    older = Snapshot("older", 9e9, {**newest.tags, "lsn": "1"})
    asked, repository = [], Repository([FIRST, SECOND], [*WALS, older])
    repository.call = lambda *words, fine: asked.append(words) or ""
    restore.chosen(settings, repository, "latest")
    assert asked == [("dump", newest.id, "/points")]


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


def drilled(settings, monkeypatch, made, release=""):
    monkeypatch.setattr(Copy, "make", lambda self, repository, choice: made)
    repository = Repository([FIRST], WALS)
    repository.call = lambda *words: ""
    drill.run(settings, repository, release)


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


def test_a_drill_by_hand_asks_for_what_the_release_needs(settings, host, monkeypatch, capsys):
    """As the release's `migrate --check` would. What was applied after the backup's end may be missing."""
    applied = "shop 0001_initial\nshop 0002_note"
    host.answers = {"set until inf": f"{applied}\nshop 0003_tax", "django_migrations WHERE applied": applied}
    made = {"rows": 5, "tables": 2, "seconds": 1, "until": 9e9, "migrations": applied.splitlines()}
    drilled(settings, monkeypatch, made, "shop 0001_initial,shop 0002_note,shop 0003_tax")
    assert "the live release finds its 3 migrations\n" in capsys.readouterr().out
    with pytest.raises(Problem, match="lacks migrations that the live release needs: shop 0004_vat"):
        drilled(settings, monkeypatch, made, "shop 0001_initial,shop 0004_vat")


def test_a_drill_of_an_old_backup_fails(settings, host, monkeypatch):
    with pytest.raises(Problem, match=r"the newest backup is .* s old, although WAL goes to the repository each 300 s"):
        drilled(settings, monkeypatch, {"rows": 5, "tables": 2, "seconds": 1, "until": 1000, "migrations": []})


# ---- progress ----


@pytest.mark.parametrize(
    "done, total, line",
    [
        (0, 0, "0 MB"),
        (3_000_000, 0, "3 MB"),
        (0, 9_000_000, "0 MB of 9 MB"),
        (3_000_000, 9_000_000, "3 MB of 9 MB, 4 s left"),
        (10_000_000, 9_000_000, "9 MB of 9 MB, 0 s left"),  # the database has grown meanwhile
    ],
)
def test_how_far_something_is(done, total, line):
    assert progress.line(done, total, seconds=2) == line


@pytest.mark.parametrize("watched", [True, False])
def test_progress_is_shown_at_a_terminal(tmp_path, monkeypatch, capsys, watched):
    """Until the end, whether it succeeds or not; what is in folders counts, too."""
    monkeypatch.setattr(shell, "is_watched", lambda: watched)
    monkeypatch.setattr(progress, "EVERY", 0.01)
    (tmp_path / "base").mkdir()
    (tmp_path / "base/1").write_bytes(b"x" * 2_000_000)
    asked = threading.Event()

    def done():
        asked.set()
        return progress.size(str(tmp_path))

    with pytest.raises(Problem), progress.shown(done, 4_000_000):
        assert asked.wait(10 if watched else 0) == watched
        raise Problem("the disk is full")
    progress.show(mock.Mock(side_effect=Problem("the container has gone")), 0, threading.Event())
    out = capsys.readouterr().out.removesuffix(progress.CLEAR)
    assert (progress.CLEAR + "2 MB of 4 MB, " in out, out.endswith(progress.CLEAR)) == (watched, watched)
