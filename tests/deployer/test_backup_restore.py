"""docker-backup's restores and swaps: nothing that fails harms the living database."""

import contextlib
import itertools
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from deployer.backup_host import backup_in, room
from slipway.deploy.backup import copy, leftovers, points, restore, shell, state
from slipway.deploy.backup.branches import Choice, Target
from slipway.deploy.backup.copy import Copy
from slipway.deploy.backup.points import Point
from slipway.deploy.backup.shell import Problem


class Killed(BaseException):
    """The end of docker-backup in the middle of its work."""


def restored(settings, volume="shop-postgres-2", **more):
    made = {"volume": volume, "rows": 1, "newest": 1.0, "timeline": 1, **more}
    Path(settings.folder, "restored.json").write_text(json.dumps(made))
    Path(settings.etc, "shop-postgres").write_text("max_connections=500")


def image_of(settings):
    return shell.assignments(f"{settings.etc}/shop-postgres.image")


@pytest.fixture
def promotes(monkeypatch, host):
    monkeypatch.setattr(Copy, "promote", lambda self, volume: host.said.append(f"promote {volume}"))
    host.answers["SELECT 1"] = "1"


# ---- swaps ----


def test_a_swap(settings, host, place, promotes):
    """The service runs on the restored volume; the old one stays. The swap is on record; a new base backup begins."""
    restored(settings)
    restore.swap(settings, place)
    assert image_of(settings)["DATA"] == "shop-postgres-2"
    assert host.ran("restart docker-service@shop-postgres.service") and not host.ran("volume rm")
    assert host.ran("start --no-block docker-backup-base@shop.service")
    assert [point.kind for point in points.load(settings)] == ["swap"] and place.kept == [(["points"], "points")]
    assert not os.path.exists(f"{settings.folder}/restored.json")


def test_what_the_living_database_has_is_sent_before_a_swap(settings, host, place, promotes):
    """So that its branch can be restored to its end. A place that is away holds no swap up, but what was not sent is
    not offered any more."""
    restored(settings)
    restore.swap(settings, place)
    assert not state.of(settings, "wal")["gaps"]
    sent, restarts = (host.said.index(host.ran(part)[0]) for part in ("pg_current_xact_id", "restart docker-service"))
    assert sent < restarts
    restored(settings, "shop-postgres-3")
    place.problem = "away"
    state.save(settings, "wal", until=1900.0)
    restore.swap(replace(settings), place)
    assert image_of(settings)["DATA"] == "shop-postgres-3"
    assert state.of(settings, "wal")["gaps"] == [[1900.0, 2000.5]]


def test_a_swap_that_was_killed_goes_on(settings, host, place, promotes, capsys):
    """With the service on the new volume already, or from its next restart on: nothing else may make anybody forget
    that. The volume that is named at the end is that of before, and no second timeline begins."""
    restored(settings)
    host.answers = {"restart docker-service": Killed(), **host.answers}
    with pytest.raises(Killed):
        restore.swap(settings, place)
    settings = replace(settings)  # as in another process
    assert image_of(settings)["DATA"] == "shop-postgres-2"
    for forgets in (restore.discard, lambda *given: restore.beside(*given, "latest")):
        with pytest.raises(Problem, match="a swap was interrupted: let it end by slipway restore --swap"):
            forgets(settings, place)
    del host.answers["restart docker-service"]
    restore.swap(settings, place)
    assert len(host.ran("promote")) == 1 and not host.ran("volume rm")
    assert not host.ran("docker stop -t 60 shop-restored"), "it had been stopped, and Docker knows it no more"
    assert "the data of before are in the volume shop-postgres:" in capsys.readouterr().out


@pytest.mark.parametrize("away", ["before the kill", "after it"])
def test_a_killed_swap_that_goes_on_offers_nothing_that_was_not_sent(settings, host, place, promotes, away):
    """Neither what the living database had before the kill, nor what was written until the swap goes on."""
    restored(settings)
    state.save(settings, "wal", until=1900.0)
    host.answers = {"restart docker-service": Killed(), **host.answers}
    place.problem = "away" if away == "before the kill" else ""
    with pytest.raises(Killed):
        restore.swap(settings, place)
    del host.answers["restart docker-service"]
    place.problem = "" if place.problem else "away"
    state.save(settings, "wal", until=1900.0)
    restore.swap(replace(settings), place)
    assert [1900.0, 2000.5] in state.of(settings, "wal")["gaps"]


def test_nothing_to_swap(settings, host, place):
    with pytest.raises(Problem, match="nothing has been restored"):
        restore.swap(settings, place)
    assert host.said == []


def test_a_restored_database_that_does_not_answer_is_swapped_back(settings, host, place, promotes, monkeypatch):
    restored(settings)
    monkeypatch.setattr(restore, "ANSWER", 0)
    with pytest.raises(Problem, match="so the old one serves on"):
        restore.swap(settings, place)
    assert image_of(settings)["DATA"] == "shop-postgres"
    assert len(host.ran("restart docker-service@shop-postgres.service")) == 2


def test_the_living_database_s_volume_is_never_removed(settings, host):
    restored(settings, "shop-postgres")
    Copy(settings, "restored").remove()
    assert not host.ran("volume rm")
    restored(settings, "shop-postgres-2")
    Copy(settings, "restored").remove()
    assert host.ran("docker volume rm -f shop-postgres-2")


def test_a_promoted_copy_that_is_discarded_leaves_a_record(settings, host, place):
    """Its timeline is in the archive: the living one goes on after it."""
    restored(settings)
    restore.discard(settings, place)
    assert points.load(settings) == []
    restored(settings, old="shop-postgres")
    restore.discard(settings, place)
    assert [(point.kind, point.timeline) for point in points.load(settings)] == [("swap", 1)]


# ---- what a restore brings back ----


def test_a_restore_begins_with_the_newest_changes(settings, host, place, monkeypatch):
    """The orders of the last minute come back. If the living database is dead, what was sent does, and what its volume
    has besides."""
    made = []
    monkeypatch.setattr(Copy, "make", lambda self, choice: made.append(choice))
    monkeypatch.setattr(Copy, "control", lambda self, volume: "Database system identifier:           7\n")
    restore.beside(settings, place, "latest")
    host.answers["pg_control_system"] = Problem("no such container")
    restore.beside(settings, place, "latest")
    living, dead = made
    assert living.target == Target(1, lsn=0x2000228) and not living.known
    assert dead.target == Target(1) and dead.known == "shop-postgres" and dead.end == 2 << 24


def test_a_future_time_is_refused(settings, host, place):
    with pytest.raises(Problem, match="that time is in the future"):
        restore.chosen(settings, "restore", "@99999999999", None)


def test_a_tag_of_digits_is_a_tag(settings, host, place):
    points.add(settings, place, "commit", "1700000000")
    assert restore.chosen(settings, "restore", "1700000000", None).target == Target(1, lsn=0x2000228)


def test_what_a_swap_loses_is_counted_on_the_living_branch(settings, host, place, monkeypatch):
    """Of a copy of another branch, from where both parted."""
    monkeypatch.setattr(Copy, "sql", lambda self, query, database="postgres": "790" if "xmax" in query else "")
    assert restore.lost(settings, {"timeline": 1}) == 10
    swap_of = Point("swap", "", 1.0, 5, 2, 700)
    monkeypatch.setattr(points, "load", lambda settings: [swap_of])
    host.answers |= {
        "pg_control_system": "2000.5 0/2000228 000000020000000000000002 7 800",
        "00000002.history": "1\t0/5",
    }
    assert restore.lost(settings, {"timeline": 1}) == 100
    monkeypatch.setattr(Copy, "sql", lambda self, query, database="postgres": "790" if "xmax" in query else "1\t0/5")
    assert restore.lost(settings, {"timeline": 2}) == 10


def test_the_cause_of_a_database_that_does_not_start():
    log = "1 LOG:  starting\n2 FATAL:  could not open file\n3 LOG:  database system is shut down\n"
    assert copy.cause(log) == "2 FATAL:  could not open file"
    assert copy.cause("exec: no such file\n") == "exec: no such file"


def test_a_target_beyond_the_archive_is_not_reached():
    """It is no later time than the last change. How far the restore came is said."""
    log = (
        "LOG:  last completed transaction was at log time 2026-11-24 02:20:01.5+00\n"
        "FATAL:  recovery ended before configured recovery target was reached\n"
    )
    assert "is not reached" in copy.ended(log) and "the restore came to 2026-11-2" in copy.ended(log)


def waits(monkeypatch, *answers):
    """Let a copy answer so, one after the other, where its recovery is."""
    left = iter(answers)
    monkeypatch.setattr(Copy, "asked", lambda self, query: next(left))
    monkeypatch.setattr(Copy, "log", lambda self: "")
    monkeypatch.setattr(Copy, "sql", lambda self, query, database="postgres": "1700000000")
    monkeypatch.setattr(copy.time, "sleep", lambda seconds: None)


def test_only_postgres_says_that_a_target_is_reached(settings, host, monkeypatch):
    waits(monkeypatch, "", "f 0/3000000 WalReplay", "t 0/3000000 RecoveryPause")
    Copy(settings, "restored").wait(Choice(backup_in(1), Target(1, lsn=5), 0, 0, 0))


@pytest.mark.parametrize(("lsn", "reached"), [("0/2000100", True), ("0/2000000", False)])
def test_the_newest_second_is_reached_at_the_end_of_the_last_segment(settings, monkeypatch, lsn, reached):
    """An end before is a hole."""
    monkeypatch.setattr(copy, "PATIENCE", 0)
    fetches, asks = (f"f {lsn} {event}" for event in ("RestoreCommand", "RecoveryRetrieveRetryInterval"))
    waits(monkeypatch, asks, fetches, asks, fetches)  # a slow place is asked again and again
    wait = lambda: Copy(settings, "restored").wait(Choice(backup_in(1), Target(1), 2 << 24, 0, 0))  # noqa: E731
    if reached:
        wait()
        return
    with pytest.raises(Problem, match="the newest second is not reached"):
        wait()


def test_a_copy_that_never_starts_is_no_end(settings, host, monkeypatch):
    """Without a segment that it needs before it answers, Postgres asks for that one for ever. While it gets one after
    the other it may take as long as it likes."""
    now = itertools.count(0, 40)  # each look at the clock is 40 s after the last one
    monkeypatch.setattr(copy.time, "monotonic", lambda: next(now))
    waits(monkeypatch, *[""] * 40)
    titles = [*(f"waiting for {segment:024}" for segment in range(8) for _ in range(2)), *["waiting for 9"] * 20]
    shown = iter(titles)
    monkeypatch.setattr(host, "answer", lambda command, input=None: f"postgres: startup {next(shown)}")
    monkeypatch.setattr(shell, "is_running", lambda name: True)
    with pytest.raises(Problem, match="missing or damaged: the restore came to no change after its base backup"):
        Copy(settings, "restored").wait(Choice(backup_in(1), Target(1), 2 << 24, 0, 0))
    assert 16 < len(titles) - len([*shown]) < 30, "not before it has asked for the same one for long"


def test_a_pause_for_want_of_connections_is_no_end(settings, monkeypatch):
    waits(monkeypatch, "t 0/3000000 RecoveryPause")
    monkeypatch.setattr(
        Copy, "log", lambda self: "hot standby is not possible because of insufficient parameter settings"
    )
    with pytest.raises(Problem, match="needs more connections"):
        Copy(settings, "restored").wait(Choice(backup_in(1), Target(1, lsn=5), 0, 0, 0))


def test_copies_of_one_second_have_volumes_of_their_own(settings, host, monkeypatch):
    """A drill and a restore may begin at once."""
    monkeypatch.setattr(copy.time, "strftime", lambda form: "20261124-030000")
    for name in ("check_room", "fetch", "start", "wait"):
        monkeypatch.setattr(Copy, name, lambda *given: None)
    monkeypatch.setattr(Copy, "described", lambda *given: {})
    choice = Choice(backup_in(1), Target(1), 0, 0, 0)
    assert len({Copy(settings, name).make(choice)["volume"] for name in ("restored", "drill")}) == 2


def test_a_second_database_needs_disk_and_memory(settings, host, monkeypatch):
    os.makedirs(f"{settings.root}/proc")
    Path(settings.root, "proc/meminfo").write_text("MemAvailable:  500000 kB\n")
    room(monkeypatch, free=1_000_000_000)
    with pytest.raises(Problem) as problem:
        Copy(settings, "restored").check_room(Choice(replace(backup_in(1), bytes=10**9), Target(1), 0, 0, 0))
    assert "free, a restore needs 1,1" in str(problem.value) and "512 MB of memory are available" in str(problem.value)


@pytest.mark.parametrize(("sizes", "passes"), [([5, 9], 3), ([5, 5], 2)])
def test_a_server_that_allows_few_open_files(settings, monkeypatch, sizes, passes):
    """The restore goes on from there, as long as there is progress."""
    ran, left = [], iter(sizes)

    def call(settings, action, words, *_, **__):
        ran.append(words)
        if len(ran) < 3:
            raise Problem("unable to open file 'x' for read: libssh2 error [-31]: sftp error [4] failure")

    monkeypatch.setattr(copy.pgbackrest, "call", call)
    with contextlib.nullcontext() if passes == 3 else pytest.raises(Problem, match="sftp error"):
        Copy(settings, "restored").bring(["restore"], "volume", lambda: next(left))
    assert len(ran) == passes


# ---- what was killed ----


def test_what_is_left_of_a_killed_drill_goes(settings, host, place):
    """A whole copy that waits for its swap stays."""
    Path(settings.folder, "drill.json").write_text('{"volume": "shop-postgres-7", "rows": 5}')
    restored(settings)
    leftovers.remove(settings)
    assert host.ran("docker volume rm -f shop-postgres-7") and not host.ran("volume rm -f shop-postgres-2")
    assert host.ran("docker rm -f shop-pgbackrest-base")
    Path(settings.folder, "restored.json").write_text('{"volume": "shop-postgres-2"}')
    leftovers.remove(settings)
    assert host.ran("volume rm -f shop-postgres-2")


def test_what_runs_is_no_leftover(settings, host, place):
    Path(settings.folder, "drill.json").write_text('{"volume": "shop-postgres-7"}')
    with leftovers.LockedOpen(leftovers.lock_path(settings, "drill"), "a"):
        leftovers.remove(settings)
    assert not host.ran("volume rm")
