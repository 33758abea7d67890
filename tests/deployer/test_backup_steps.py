"""docker-backup's steps that send: what they do when a program, the place or the disk fails."""

import contextlib
import math
import os
import subprocess
import threading
import time
from pathlib import Path
from unittest import mock

import pytest

from deployer.backup_host import BEGIN_BASE, backup_in, room
from proc import executable
from slipway.deploy.backup import (
    archive,
    commands,
    configuration,
    leftovers,
    pgbackrest,
    points,
    postgres,
    restore,
    shell,
    state,
)
from slipway.deploy.backup.shell import Problem
from slipway.lasting import LockedOpen

# ---- WAL ----


def test_wal_is_there_up_to_the_database_s_heartbeat(settings, host, place):
    """A commit is made first, so that a restore to any second before it knows that it has come so far."""
    now = archive.ship(settings, place)
    assert (state.load(settings)["wal"]["until"], now.lsn, now.timeline) == (2000.5, 0x2000228, 1)
    assert host.ran("pg_current_xact_id") and place.asked == [("look", archive.ARRIVE)]
    assert not host.ran(BEGIN_BASE)


@pytest.mark.parametrize("abandoned", [False, True])
def test_without_a_base_backup_one_begins(settings, host, place, abandoned):
    """One of an abandoned branch is none, as right after a swap."""
    if abandoned:
        host.answers["pg_control_system"] = "2000.5 0/2000228 000000020000000000000002 7 800"
    else:
        place.backups = []
    with pytest.raises(Problem, match="there is no base backup yet: one begins now"):
        archive.ship(settings, place)
    assert host.ran(BEGIN_BASE) and "until" not in state.load(settings)["wal"]


def test_no_action_works_in_another_one_s_container(settings, host, place, monkeypatch):
    """The timer's own run, at the same time, would take that for a killed run's, and remove it."""
    asked, look = [], pgbackrest.look
    monkeypatch.setattr(pgbackrest, "look", lambda settings, *rest: asked.append(rest[0]) or look(settings, *rest))
    archive.make_base(settings, place)
    assert restore.shipped(settings, place, "drill")
    assert asked == ["base", "base", "base", "drill"]


def test_what_the_place_has_not_got_is_told(settings, host, place, monkeypatch):
    """The newest restorable second stays on record until there is a base backup after the gap."""
    archive.ship(settings, place)
    place.numbers = (1, 3)
    for _ in range(2):
        with pytest.raises(Problem, match=r"no second after .* can be restored, .* segment 000000010000000000000002"):
            archive.ship(settings, place)
    record = state.load(settings)["wal"]
    assert (record["since"], record["gaps"], record["until"]) == (2000.5, [[2000.5, None]], 2000.5)
    assert len(host.ran(BEGIN_BASE)) == 2
    place.backups.append(backup_in(3, at=2500.0))
    archive.ship(settings, place)
    record = state.load(settings)["wal"]
    assert (record["since"], record["gaps"], record["problem"]) == (0, [[2000.5, 2500.0]], "")


@pytest.mark.parametrize(("ago", "begins"), [(899, 0), (901, 1)])
def test_a_base_backup_that_failed_is_tried_again(settings, host, place, ago, begins):
    state.save(settings, "base", problem="the place is away", failed=time.time() - ago)
    archive.ship(settings, place)
    assert len(host.ran(BEGIN_BASE)) == begins


@pytest.mark.parametrize(
    ("free", "total", "ends"), [((1 << 30) + 1, 100 << 30, 0), ((1 << 30) - 1, 100 << 30, 2), (200 << 20, 1 << 30, 0)]
)
def test_on_a_full_disk_what_sends_wal_begins_anew(settings, host, place, monkeypatch, free, total, ends):
    """It then drops what is more than may wait: the site goes on."""
    room(monkeypatch, free, total)
    archive.ship(settings, place)
    assert len(host.ran("exec pgbackrest --stanza=shop st")) == ends


def test_as_the_disk_gets_full_less_wal_may_wait(settings, host, place, monkeypatch):
    """And more once it is not full any more."""
    monkeypatch.setattr(postgres, "owner", lambda settings: (os.getuid(), os.getgid()))
    conf = configuration.path(settings)
    conf.parent.mkdir()
    conf.write_text(configuration.text(settings, {}, 16 << 30, "/data"))
    for free, limit in ((20, 5), (18, 5), (1, 0.25), (400, 16)):
        room(monkeypatch, free << 30)
        archive.ship(settings, place)
        assert f"archive-push-queue-max={int(limit * (1 << 30))}\n" in conf.read_text()


def test_points_are_sent_when_they_have_changed(settings, host, place):
    archive.ship(settings, place)
    assert place.kept == []
    points.add(settings, place, "commit", "build-1")
    archive.ship(settings, place)
    archive.ship(settings, place)
    assert place.kept == [(["points"], "points")]


def test_points_are_never_forgotten(settings, host, place):
    """Without swaps nobody would know which branch lived when."""
    points.add(settings, place, "swap")
    for number in range(4):
        points.add(settings, place, "commit", f"build-{number}")
    assert [point.kind for point in points.load(settings)] == ["swap", *["commit"] * 4]


# ---- base backups ----


def test_a_new_server_does_not_mix_its_empty_database_in(settings, host, place):
    place.system = "8"
    with pytest.raises(Problem, match="has backups of another database of shop: bring that back by slipway restore"):
        archive.make_base(settings, place)
    assert "another database" in state.load(settings)["base"]["problem"]
    assert not [words for words in place.asked if "backup" in words]


def test_a_service_that_does_not_archive_yet(settings, host, place):
    """As after [backup] was added: its options work from its next start on."""
    host.answers["SHOW archive_mode"] = "off"
    with pytest.raises(Problem, match="run systemctl restart docker-service@shop-postgres there"):
        archive.make_base(settings, place)


@pytest.mark.parametrize(
    ("backups", "kind"),
    [
        ([], "full"),
        ([backup_in(1, at=0)], "full"),
        ([backup_in(1, at=2 * 86400)], "incr"),
        ([backup_in(1, at=0), backup_in(2, at=6 * 86400, kind="incr")], "full"),
    ],
)
def test_one_in_seven_is_full(backups, kind):
    assert archive.due(backups, 7 * 86400) == kind


def test_a_base_backup_is_sent_and_recorded(settings, host, place):
    place.backups = [backup_in(1, at=time.time())]
    archive.make_base(settings, place)
    assert ("backup", "--type=incr") in place.asked
    assert state.load(settings)["base"]["label"] == "20261124-030000F"
    assert ("pruned",) in place.asked


def test_backups_begin_anew_on_request(settings, host, place, monkeypatch):
    """Also beside another database's: pgBackRest's own way for that."""
    made = []
    monkeypatch.setattr(pgbackrest, "make", lambda settings, action, new=False: made.append(new))
    archive.make_base(settings, place, "--new")
    assert made == [True] and ("made",) in place.asked


# ---- records ----


def test_an_action_s_record_begins_with_it(settings):
    """A run that began and has not ended was killed."""
    with state.recorded(settings, "wal"):
        assert "ended" not in state.load(settings)["wal"]
    record = state.load(settings)["wal"]
    assert record["ended"] >= record["began"]
    for error in (Problem("away"), OSError(28, "No space left on device", "/etc/default/x")):
        with pytest.raises(type(error)), state.recorded(settings, "wal"):
            raise error
        record = state.load(settings)["wal"]
        assert record["problem"] == str(error) and record["ended"] >= record["began"]


def test_what_fails_before_wal_is_looked_at_is_on_record(settings, host, place):
    host.answers["docker rm -f shop-pgbackrest-base"] = Problem("docker rm did not end within 60 s")
    with pytest.raises(Problem):
        archive.ship(settings, place)
    assert state.load(settings)["wal"]["problem"] == "docker rm did not end within 60 s"


def test_a_state_that_cannot_be_written_is_a_failure_afterwards(settings, monkeypatch):
    """The action has done its work; that it has is told nobody, so that it must not look like a success."""

    def full(*_, **__):
        raise OSError(28, "No space left on device", "state.json")

    monkeypatch.setattr(state, "save", full)
    done = []
    with pytest.raises(OSError, match="No space left"), state.recorded(settings, "wal"):
        done.append("sent")
    assert done == ["sent"]


def test_who_waits_is_told_so_beside_the_output(settings, monkeypatch, capsys):
    """A dump goes to stdout: with a line before it, nobody could load it."""
    waits = iter([mock.Mock(side_effect=TimeoutError), lambda: contextlib.nullcontext(mock.Mock())])
    monkeypatch.setattr(commands, "LockedOpen", lambda *_, **__: next(waits)())
    with commands.alone(settings, "dump"):
        pass
    assert capsys.readouterr() == ("", "another docker-backup dump shop runs: waiting for its end\n")


def test_a_restore_waits_for_a_look_at_what_was_left(settings, monkeypatch, tmp_path):
    """The timer's look has the restore's lock for a moment: a restore that begins then is refused no more."""
    monkeypatch.setattr(leftovers, "LOCKS", str(tmp_path))
    lock = contextlib.ExitStack()
    lock.enter_context(LockedOpen(leftovers.lock_path(settings, "restored"), "a"))
    threading.Timer(0.3, lock.close).start()
    with commands.alone(settings, "restored"):
        pass


def test_a_second_restore_is_refused(settings, monkeypatch, tmp_path):
    """While the first one runs, and not because of one that was killed."""
    monkeypatch.setattr(leftovers, "LOCKS", str(tmp_path))
    path = leftovers.lock_path(settings, "restored")
    with (
        commands.alone(settings, "restored"),
        pytest.raises(Problem, match="another restore of shop runs"),
        commands.alone(settings, "restored"),
    ):
        pass
    ended = subprocess.Popen(["true"])
    ended.wait(10)
    for text in (str(ended.pid), ""):
        Path(path).write_text(text)
        assert not commands.runs(path)


def test_no_program_outlives_its_unit(monkeypatch):
    monkeypatch.setattr(shell.Time, "end", math.inf)
    assert shell.Time.left(math.inf) == math.inf
    shell.Time.limit(100)
    assert shell.Time.left(math.inf) <= 70 and shell.Time.left(5) == 5
    with pytest.raises(Problem, match="sleep 9 did not end within 1 s"):
        shell.Time.limit(31)
        shell.run(["sleep", "9"])


def test_a_place_that_hangs_ends_in_a_record(settings, monkeypatch, tmp_path):
    """Long before its unit would be killed; and what hangs is not left there."""
    stub = tmp_path / "bin/docker"
    executable(stub, '#!/bin/sh\necho "$1 $2 $3" >>"$0.log"\n[ "$1" != run ] || exec sleep 60\n')
    monkeypatch.setattr(shell, "ENVIRONMENT", {**shell.ENVIRONMENT, "PATH": f"{stub.parent}:/usr/bin:/bin"})
    with pytest.raises(Problem, match="sftp:nas:shop: pgbackrest: docker run did not end within 1 s"):
        pgbackrest.call(settings, "wal", ["check"], seconds=1)
    assert (stub.parent / "docker.log").read_text().splitlines()[-1] == "rm -f shop-pgbackrest-wal"
