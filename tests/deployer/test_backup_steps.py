"""docker-backup's steps that send: what they do when a program or the disk fails."""

import json
import os
import sys
import time
import types
from pathlib import Path

import pytest

from deployer.backup_host import Repository, room, segment, with_wal
from deployer.test_backup import FIRST
from slipway.deploy.backup import base, files, postgres, set_up, state, wal
from slipway.deploy.backup.shell import Problem

# ---- WAL ----


def test_wal_is_sent_up_to_the_database_s_end(settings, host):
    with_wal(settings, 1, 2)
    repository = Repository()
    wal.ship(settings, repository)
    assert repository.kept == [(["wal"], "wal")]
    assert state.load(settings)["wal"]["until"] == 2000.5


def test_what_the_receiver_has_not_written_is_awaited(settings, host, monkeypatch):
    with_wal(settings, 1)
    host.answers["write_lsn"] = "0/1FF"
    monkeypatch.setattr(wal, "RECEIVE", 0)
    with pytest.raises(Problem, match="shop-wal does not receive WAL"):
        wal.ship(settings, Repository())
    assert "does not receive" in state.load(settings)["wal"]["problem"]


def test_a_segment_that_a_killed_receiver_was_making_is_made_anew(settings, host, monkeypatch):
    """Not while a receiver runs, which may be making it."""
    with_wal(settings, 1)
    torn = f"{settings.wal_folder}/{segment(2)}.partial"
    with open(torn, "wb") as file:
        file.truncate(5_000_000)
    answers = iter(["0/1FF", "0/200", "0/0", "0/200"])
    monkeypatch.setattr(postgres, "received", lambda settings: postgres.number(next(answers)))
    wal.ship(settings, Repository())
    assert os.path.exists(torn) and not host.ran("stop docker-service@shop-wal.service")
    wal.ship(settings, Repository())
    assert not os.path.exists(torn) and host.ran("stop docker-service@shop-wal.service")
    assert host.ran("start docker-service@shop-wal.service")


@pytest.mark.parametrize("fault", ["no base", "gap", "lost", "missing"])
def test_without_whole_wal_a_base_backup_begins(settings, host, fault):
    if fault != "no base":
        with_wal(settings, *((2, 3) if fault == "gap" else (1, 2)))
    host.answers |= {"lost": {"coalesce(wal_status": "lost"}, "missing": {"coalesce(wal_status": ""}}.get(fault, {})
    repository = Repository()
    with pytest.raises(Problem, match="another one begins now"):
        wal.ship(settings, repository)
    assert host.ran("start --no-block docker-backup-base@shop.service") and repository.kept == []


@pytest.mark.parametrize(("ago", "begins"), [(899, 0), (901, 1)])
def test_a_base_backup_that_failed_is_tried_again(settings, host, ago, begins):
    with_wal(settings, 1, 2)
    state.save(settings, "base", problem="the repository is away", failed=time.time() - ago)
    wal.ship(settings, Repository())
    assert len(host.ran("start --no-block docker-backup-base@shop.service")) == begins


def test_a_full_disk_ends_the_receiving_and_not_the_site(settings, host, monkeypatch):
    """Only if the repository does not take the WAL: otherwise it is the only place where the last minutes are."""
    with_wal(settings, 1, 2)
    room(monkeypatch, free=(1 << 30) - 1)
    wal.ship(settings, Repository())
    assert not host.ran("pg_drop_replication_slot")
    for free, total in (((1 << 30) + 1, 100 << 30), (200 << 20, 1 << 30)):
        room(monkeypatch, free, total)
        with pytest.raises(Problem):
            wal.ship(settings, Repository(problem="away"))
        assert not host.ran("pg_drop_replication_slot") and os.listdir(settings.wal_folder)
    room(monkeypatch, free=(1 << 30) - 1)
    with pytest.raises(Problem, match="away"):
        wal.ship(settings, Repository(problem="away"))
    assert host.ran("pg_drop_replication_slot") and host.ran("stop docker-service@shop-wal.service")
    assert os.listdir(settings.wal_folder) == [] and state.load(settings)["base"]["tags"] == {}


# ---- base backups ----


def test_a_new_server_does_not_mix_its_empty_database_in(settings, host):
    FIRST.tags["system"] = "8"
    with pytest.raises(Problem, match="has backups of another database of shop: bring that back by slipway restore"):
        base.check_owner(settings, Repository([FIRST]))
    FIRST.tags["system"] = "7"
    base.check_owner(settings, Repository([FIRST]))
    base.check_owner(settings, Repository())


def test_a_copy_needs_room(settings, host, monkeypatch):
    host.answers["pg_database_size"] = "1000000000"
    room(monkeypatch, free=1_099_999_999)
    with pytest.raises(Problem, match=r"a copy of the database needs 1,100 MB in .*, which has 1,100 MB"):
        base.check_room(settings)
    room(monkeypatch, free=1_100_000_001)
    base.check_room(settings)


def test_what_a_copy_is_called(tmp_path):
    label = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nSTART TIMELINE: 1\n"
    (tmp_path / "backup_label").write_text(label)
    ranges = [{"Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100"}]
    manifest = {"Files": [{"Size": 3}, {"Size": 4}], "WAL-Ranges": ranges}
    (tmp_path / "backup_manifest").write_text(json.dumps(manifest))
    tags = base.described(str(tmp_path), postgres.Position(5.0, 0x3000000, 0x3000000, "7", 1))
    assert tags == {
        **{"kind": "base", "base": "1-33554688", "lsn": "33554688", "timeline": "1"},
        **{"segment": "000000010000000000000002", "system": "7", "at": "5.0", "bytes": "7"},
    }
    (tmp_path / "backup_label").write_text("")
    with pytest.raises(Problem, match="does not say with which WAL it begins"):
        base.described(str(tmp_path), postgres.Position(5.0, 1, 1, "7", 1))


def test_the_first_backup_begins_with_provisioning(settings, host, monkeypatch):
    """Also if the service had another database before."""
    write_segment(settings, 1, writer=8)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    host.answers["restic version"] = "restic 0.18.0"
    repository = types.SimpleNamespace(make_if_missing=lambda patience: host.said.append("made"))
    set_up.prepare(settings, repository)
    assert host.ran("made") and host.ran("CREATE ROLE base_backup LOGIN REPLICATION")
    assert host.ran("enable --quiet --now docker-backup-base@shop.timer docker-backup-wal@shop.timer")
    assert host.ran("start --no-block docker-backup-base@shop.service")
    assert os.readlink(f"{settings.etc}/shop-wal.image") == "shop-postgres.image"
    assert os.listdir(settings.wal_folder) == []


def write_segment(settings, number, writer):
    """Write a segment as the database with the id `writer` does. 0: none has written it yet."""
    path = Path(settings.wal_folder, segment(number))
    path.write_bytes(bytes(24) + writer.to_bytes(8, sys.byteorder))


@pytest.mark.parametrize("writers, kept", [((7, 7), True), ((7, 0), True), ((8, 0), False), ((7, 8), False)])
def test_wal_of_another_database_is_dropped(settings, host, writers, kept):
    """As after a change to another major version, whose database has a volume of its own."""
    with_wal(settings)
    for number, writer in enumerate(writers):
        write_segment(settings, number, writer)
    wal.drop_useless(settings)
    assert len(os.listdir(settings.wal_folder)) == (2 if kept else 0)
    assert bool(state.load(settings)["base"]["tags"]) == kept
    assert bool(host.ran("stop docker-service@shop-wal.service")) != kept


@pytest.mark.parametrize("version", ["restic 0.12.1 compiled with go1.16", "restic 0.9", ""])
def test_an_old_restic_is_refused(version):
    with pytest.raises(Problem, match=r"is too old, 0.14 or newer is needed"):
        set_up.check_version(version)
    set_up.check_version("restic 0.14.0 compiled with go1.19.8 on linux/amd64")
    set_up.check_version("restic 1.0.0")


# ---- files ----


def test_no_files_to_put_back(settings, host):
    with pytest.raises(Problem, match="/r has no files of shop"):
        files.put_back(settings, Repository(), "latest")
