"""docker-backup's set-up: the first backup, the way to the place, and the files that it sends."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from deployer.backup_host import BEGIN_BASE
from slipway.deploy.backup import configuration, files, set_up, sftp
from slipway.deploy.backup.shell import Problem

# ---- provisioning ----


def test_the_first_backup_begins_with_provisioning(settings, host, place, monkeypatch):
    monkeypatch.setattr(configuration, "write", lambda settings: host.said.append("configured"))
    host.answers["restic version"] = "restic 0.18.0"
    place.system = ""
    set_up.prepare(settings, place)
    assert host.ran("configured") and ("stanza-create",) in place.asked and ("made",) in place.asked
    assert host.ran("enable --quiet --now docker-backup-base@shop.timer docker-backup-wal@shop.timer")
    assert host.ran(BEGIN_BASE)


def test_a_place_that_has_lost_its_backups_is_not_made_anew(settings, host, place, monkeypatch):
    """Perhaps its disk is only not mounted."""
    monkeypatch.setattr(configuration, "write", lambda settings: None)
    host.answers["restic version"] = "restic 0.18.0"
    set_up.prepare(settings, place)
    place.system, place.asked = "", []
    with pytest.raises(Problem, match="has lost its backups, or is away: slipway backup --new begins anew"):
        set_up.prepare(settings, place)
    assert ("stanza-create",) not in place.asked and ("made",) not in place.asked


@pytest.mark.parametrize("version", ["restic 0.12.1 compiled with go1.16", "restic 0.9", ""])
def test_an_old_restic_is_refused(version):
    with pytest.raises(Problem, match=r"is too old, 0.14 or newer is needed"):
        set_up.check_version(version)
    set_up.check_version("restic 0.14.0 compiled with go1.19.8 on linux/amd64")
    set_up.check_version("restic 1.0.0")


# ---- a place that is a folder ----


def test_a_folder_is_mounted_once_for_the_database(settings, host, tmp_path):
    """As soon as it is there: a place that is away keeps no database from its start, and nothing is made instead."""
    settings, point = replace(settings, to=str(tmp_path / "nas/shop")), f"{settings.folder}/place"
    configuration.bind(settings)
    assert not host.ran("mount") and not (tmp_path / "nas").exists()
    (tmp_path / "nas/shop/database").mkdir(parents=True)
    configuration.bind(settings)
    assert host.ran("mount") == [f"mount --bind {tmp_path}/nas/shop/database {point}"]
    Path(point).rmdir()
    os.symlink(tmp_path / "nas/shop/database", point)  # as the mount looks
    configuration.bind(settings)
    assert len(host.ran("mount")) == 1


# ---- a place that ssh reaches ----

SAID = """\
hostname nas.example
port 2222
user backup
identityfile {0}/id_rsa
identityfile {0}/id_ed25519
userknownhostsfile {0}/known_hosts {0}/known_hosts2
"""


def test_root_s_ssh_tells_the_way(settings, host, tmp_path):
    """Also what its ~/.ssh/config says of the host."""
    (tmp_path / "id_ed25519").write_text("key")
    (tmp_path / "known_hosts").write_text("known")
    host.answers["ssh -G ssh://back%2Bup@nas:2222"] = SAID.format(tmp_path)
    found = sftp.account(replace(settings, to="sftp://back+up@nas:2222/shop"))
    assert (found.host, found.port, found.user) == ("nas.example", "2222", "backup")
    assert found.key == f"{tmp_path}/id_ed25519" and found.known == (f"{tmp_path}/known_hosts",)
    assert found.name == "[nas.example]:2222"


@pytest.mark.parametrize(
    ("line", "problem"),
    [("proxyjump gate\n", "uses proxyjump, which pgBackRest cannot"), ("", "root has no key of ssh")],
)
def test_a_way_that_pgbackrest_cannot_go(settings, host, tmp_path, line, problem):
    host.answers["ssh -G"] = SAID.format(tmp_path) + line
    with pytest.raises(Problem, match=problem):
        sftp.account(replace(settings, to="sftp:backup@nas:shop"))


def test_a_host_that_root_does_not_know(settings, host):
    account = sftp.Account("nas", "22", "backup", "/root/.ssh/id", ("/root/.ssh/known_hosts",))
    host.answers["ssh-keygen -F nas"] = "# Host nas found: line 1\n"
    with pytest.raises(Problem, match="root's ssh does not know the host nas yet"):
        sftp.known_keys(settings, account)
    host.answers["ssh-keygen -F nas"] = "# Host nas found: line 1\nnas ssh-ed25519 AAAA\n"
    assert sftp.known_keys(settings, account) == "nas ssh-ed25519 AAAA\n"


# ---- files ----


def test_no_files_to_put_back(settings, host, place):
    with pytest.raises(Problem, match="sftp:nas:shop has no files of shop"):
        files.put_back(settings, place, "latest")


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:////data/db.sqlite3", "/data/db.sqlite3"),
        ("sqlite:////data/db.sqlite3?timeout=30", "/data/db.sqlite3"),
        ("sqlite:////data/my%20db.sqlite3", "/data/my db.sqlite3"),
        ("spatialite:////data/in/db", "/data/in/db"),
        ("sqlite:///db.sqlite3", ""),
        ("postgres://shop@db/data/x", ""),
    ],
)
def test_the_path_of_sqlite_is_read_as_django_does(settings, url, file):
    with open(f"{settings.etc}/shop.env", "w") as env:
        env.write(f"DATABASE_URL={url}\n")
    assert files.sqlite_path(settings) == (f"{settings.www}{file}" if file else "")
