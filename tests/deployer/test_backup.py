"""Backups: the keys of [backup], the files of hosts that send them, their places, and what status says."""

import json
import time

import pytest

from deployer.conftest import fleet_of
from slipway.deploy import backup_status
from slipway.deploy.backup import branches, points
from slipway.deploy.backup.points import Point
from slipway.deploy.backup.repository import cause, seconds
from slipway.deploy.backup.shell import Problem
from slipway.deploy.errors import Refused
from slipway.deploy.server import backups

TO = {"to": "sftp:backup@nas.example:shop"}
ALONE = {"one": {"roles": ["web", "worker", "beat", "postgres", "redis"]}}
APART = {
    "web1": {"roles": ["web"], "internal": "10.0.0.11"},
    "db1": {"roles": ["postgres"], "internal": "10.0.0.20"},
}
NOW = 1_795_834_800.0
WELL = {
    "runs": {
        "base": {"at": NOW - 3600, "problem": ""},
        "wal": {"at": NOW - 60, "until": NOW - 60, "problem": ""},
        "files": {"at": NOW - 60, "problem": ""},
        "drill": {"at": NOW - 86400, "problem": "", "rows": 1204331, "restored": 41.2},
    },
    "stopped": [],
    "password_kept": True,
    "now": NOW,
}


# ---- production.toml, and the hosts' files ----


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"to": "nas.example:shop"}, "backup.to: 'nas.example:shop' is not a place for backups"),
        ({"wal": 59}, "backup.wal: 59 is not a whole number from 60 to 86400"),
        ({"full": "3:00"}, "backup.full: '3:00' is not a time"),
        ({"drill": "04:00"}, "backup.drill: '04:00' is not a day and a time"),
        ({"keep": "7x"}, "backup.keep: '7x' is not days, weeks and months"),
        ({"every": 7}, "backup.every: unknown"),
    ],
)
def test_wrong_keys(data, keys, problem):
    with pytest.raises(Refused) as error:
        fleet_of(data, {"hosts": ALONE, "backup": {**TO, **keys}})
    assert problem in str(error.value)


def test_a_swarm_makes_none(data):
    with pytest.raises(Refused, match=r'backup: engine.kind = "swarm" makes no backups'):
        fleet_of(data, {"backup": TO, "engine": {"kind": "swarm", "replicas": {"web": 1}}, "media": "none"})


def test_who_sends_what(data):
    """The database's host sends that, the first web host uploads and settings. Without [backup] nobody sends."""
    alone, apart = (fleet_of(data, {"hosts": hosts, "backup": TO, "media": "local"}) for hosts in (ALONE, APART))
    [one], [web1, db1] = alone.hosts, apart.hosts
    assert backups.actions(alone, one) == ["base", "wal", "drill", "files"]
    assert (backups.actions(apart, web1), backups.actions(apart, db1)) == (["files"], ["base", "wal", "drill"])
    assert [host.name for host in apart.backup_hosts] == ["db1", "web1"]
    nobody = fleet_of(data, {"hosts": ALONE, "backup": {}})
    assert backups.actions(nobody, nobody.hosts[0]) == [] == [*backups.files(nobody, nobody.hosts[0])]


def test_the_files_of_a_host(data):
    fleet = fleet_of(data, {"hosts": ALONE, "backup": {**TO, "drill": "wed 05:30"}, "media": "local"})
    [one] = fleet.hosts
    files = {file.path: file.content for file in (*backups.files(fleet, one), *backups.unit_files(fleet, one))}
    assert json.loads(files["/etc/default/shop.backup.json"]) == {
        **TO,
        **{"wal": 300, "any_second": 7, "keep": "7d 4w 6m", "postgres": True, "dump": "", "prunes": True},
        "files": ["/etc/default/shop.env", "/etc/default/shop.secrets", "/var/www/shop/media"],
    }
    timers = {
        name: files[f"/etc/systemd/system/docker-backup-{name}@shop.timer"] for name in backups.actions(fleet, one)
    }
    assert "OnCalendar=*-*-* 03:00\nPersistent=yes" in timers["base"]
    assert "OnCalendar=wed *-*-* 05:30" in timers["drill"]
    assert "OnUnitActiveSec=200s" in timers["wal"] and "OnUnitActiveSec=200s" in timers["files"]
    unit = files["/etc/systemd/system/docker-backup-base@.service"]
    assert "ExecStart=/usr/local/bin/docker-backup base %i" in unit
    library = {file.path for file in backups.program()}
    assert "/usr/local/lib/docker-backup/slipway/deploy/backup/commands.py" in library


def test_one_host_prunes(data):
    """Two that remove what is old at once would wait for each other's lock. The others' settings are their own, too."""
    fleet = fleet_of(data, {"hosts": APART, "backup": TO, "media": "local"})
    web1, db1 = ({file.path: file.content for file in backups.files(fleet, host)} for host in fleet.hosts)
    of_web1, of_db1 = (json.loads(files["/etc/default/shop.backup.json"]) for files in (web1, db1))
    assert (of_db1["prunes"], of_web1["prunes"]) == (True, False)
    assert (of_db1["postgres"], of_web1["postgres"]) == (True, False)
    assert of_db1["files"] == [] and "/etc/default/shop.env" in of_web1["files"]


def test_what_a_host_sends_no_more_goes(data):
    fleet = fleet_of(data, {"hosts": APART, "backup": TO})
    web1 = fleet.hosts[0]
    stale = {*backups.stale_units(fleet, web1)}
    assert stale == {f"docker-backup-{name}@shop.timer" for name in ("base", "wal", "dump", "drill")}
    assert "/etc/default/shop.backup.json" not in backups.stale_files(fleet, web1)


def test_points_by_name():
    known = [Point(kind, "build-1", at, at, 1) for at, kind in enumerate(["before", "commit", "before", "commit"])]
    known.append(Point("before", "build-2", 9, 9, 1))
    assert points.named(known, "build-1").at == 3
    assert points.named(known, "before:build-1").at == 2
    assert points.named(known, "build-2").at == 9, "it migrated, and was taken back"
    with pytest.raises(Problem, match="no backup knows the release build-3; it knows: build-2, build-1"):
        points.named(known, "build-3")


def test_lsn():
    assert branches.lsn_of("16/B374D848") == 0x16B374D848 and branches.text_of(0x16B374D848) == "16/B374D848"


# ---- restic's words ----


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("repository opened\nFatal: wrong password or no key found\n", "wrong password or no key found"),
        (
            "subprocess ssh: root@nas: Permission denied (publickey).\nFatal: unable to open config file: EOF\n",
            "subprocess ssh: root@nas: Permission denied (publickey). / unable to open config file: EOF",
        ),
        ("write /srv/x: no space left on device\n", "write /srv/x: no space left on device"),
        ("", "restic failed, and printed nothing"),
    ],
)
def test_the_cause_of_a_failure_is_one_line(said, told):
    assert cause(said) == told


def test_restic_s_times():
    assert seconds("1970-01-01T01:00:00.25+01:00") == 0.25
    assert seconds("1970-01-01T00:00:01Z") == 1


# ---- status ----


def problems(**changes):
    answer = json.loads(json.dumps(WELL))
    for path, value in changes.items():
        run, key = path.split("_", 1)
        answer["runs"][run][key] = value
    return [*backup_status.problems(answer, ["base", "wal", "files", "drill"], 3600)]


def test_all_is_well():
    assert problems() == []
    drilled = time.strftime("%a %H:%M", time.localtime(NOW - 86400))
    assert backup_status.line(WELL) == f"backup 1 min old, drilled {drilled}: 1,204,331 rows, back in 41 s"
    assert backup_status.note(WELL) == ""
    assert "slipway backup --password" in backup_status.note({**WELL, "password_kept": False})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"wal_until": NOW - 7200}, "backup: the newest backup of changes is 2 h old"),
        ({"files_at": NOW - 7200}, "backup: the newest backup of files is 2 h old"),
        ({"base_at": NOW - 3 * 86400}, "backup: the newest base backup is 3 days old"),
        ({"drill_at": NOW - 9 * 86400}, "backup: the newest drill is 9 days old"),
        (
            {"wal_until": NOW + 3600},
            "backup: the newest backup of changes is 1 h in the future: this host's clock was off",
        ),
        ({"drill_at": None}, "backup: there is no drill yet: slipway drill"),
        ({"base_at": None}, "backup: there is no base backup yet"),
        ({"wal_problem": "the disk is full"}, "backup: wal: the disk is full"),
        ({"drill_at": None, "drill_problem": "no room"}, "backup: drill: no room"),
    ],
)
def test_what_is_wrong(changes, told):
    assert problems(**changes) == [told]


def test_a_timer_that_does_not_run_is_noticed():
    answer = {**WELL, "stopped": ["base"]}
    assert [*backup_status.problems(answer, ["base", "wal"], 3600)] == [
        "backup: the timer of base does not run: slipway provision"
    ]
    assert [*backup_status.problems(answer, ["files"], 3600)] == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (5400, "2 h"), (86400, "24 h"), (172800, "2 days")]
)
def test_durations(seconds, text):
    assert backup_status.duration(seconds) == text
