"""The steps of docker-backup, with stand-ins for the programs that it runs: what it does when one of them fails."""

import json
import os
import shutil
import subprocess
import time
import types

import pytest

from deployer.test_backup import FIRST, WALS, segment
from slipway.deploy.backup import base, copy, drill, files, postgres, restore, set_up, shell, state, wal
from slipway.deploy.backup.copy import Copy
from slipway.deploy.backup.settings import Settings
from slipway.deploy.backup.shell import Problem

VALUES = {"to": "/r", "wal": 300, "any_second": 7, "keep": "7d", "postgres": True, "files": ()}
TAGS = {
    "base": "1-100",
    "segment": segment(1),
    "system": "7",
    "timeline": "1",
    "lsn": "100",
    "at": "1000",
    "bytes": "5",
}


class Host:
    """A host's programs: `said` is what was run, `answers` part of a command or query → its output, or a Problem."""

    def __init__(self, monkeypatch):
        self.said, self.answers = [], {}
        monkeypatch.setattr(shell, "output", lambda words, input=None, seconds=60: self.answer(" ".join(words), input))
        monkeypatch.setattr(shell, "run", lambda words, *_, **__: self.done(" ".join(words)))

    def answer(self, command, input=None):
        self.said.append(" ".join(filter(None, [command, input])))
        for part, answer in self.answers.items():
            if part in self.said[-1]:
                if isinstance(answer, Problem):
                    raise answer
                return answer
        return ""

    def done(self, command):
        return subprocess.CompletedProcess(command, 0, self.answer(command), "")

    def ran(self, part):
        return [command for command in self.said if part in command]


class Repository:
    """A repository with these snapshots. `problem`: why it takes no more."""

    def __init__(self, bases=(), wals=(), problem=""):
        self.kinds, self.problem, self.kept = {"base": [*bases], "wal": [*wals], "files": []}, problem, []

    def snapshots(self, kind):
        return self.kinds[kind]

    def backup(self, paths, tags, cwd=None, shown=False):
        if self.problem:
            raise Problem(self.problem)
        self.kept.append((paths, tags["kind"]))


@pytest.fixture
def settings(tmp_path):
    settings = Settings("shop", root=str(tmp_path), **VALUES)
    os.makedirs(settings.wal_folder)
    os.makedirs(settings.etc)
    image = "IMAGE_ID=sha256:1\nOWNER=999:999\nVOLUME=/var/lib/postgresql/data\n"
    (tmp_path / "etc/default/shop-postgres.image").write_text(image)
    return settings


@pytest.fixture
def host(monkeypatch):
    host = Host(monkeypatch)
    host.answers = {
        "coalesce(wal_status": "reserved",
        "pg_current_wal_insert_lsn": "2000.5 0/228 0/200 7 1",
        "write_lsn": "0/200",
    }
    return host


def with_wal(settings, *numbers):
    """The host has a base backup, and WAL."""
    state.save(settings, "base", at=1, problem="", tags=TAGS)
    for number in numbers:
        open(f"{settings.wal_folder}/{segment(number)}", "w").close()


def room(monkeypatch, free, total=100 << 30):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=free, total=total))


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
    monkeypatch.setattr(os, "chown", lambda *_: None)
    host.answers["restic version"] = "restic 0.18.0"
    repository = types.SimpleNamespace(is_made=lambda: False, make=lambda: host.said.append("made"))
    set_up.prepare(settings, repository)
    assert host.ran("made") and host.ran("CREATE ROLE base_backup LOGIN REPLICATION")
    assert host.ran("enable --quiet --now docker-backup-base@shop.timer docker-backup-wal@shop.timer")
    assert host.ran("start --no-block docker-backup-base@shop.service")
    assert os.readlink(f"{settings.etc}/shop-wal.image") == "shop-postgres.image"


@pytest.mark.parametrize("version", ["restic 0.12.1 compiled with go1.16", "restic 0.9", ""])
def test_an_old_restic_is_refused(version):
    with pytest.raises(Problem, match=r"is too old, 0.14 or newer is needed"):
        set_up.check_version(version)
    set_up.check_version("restic 0.14.0 compiled with go1.19.8 on linux/amd64")
    set_up.check_version("restic 1.0.0")


# ---- restores ----


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
    """What was ordered a minute ago comes back. If the living database is dead, what was sent does."""
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


# ---- files ----


def test_no_files_to_put_back(settings, host):
    with pytest.raises(Problem, match="/r has no files of shop"):
        files.put_back(settings, Repository(), "latest")
