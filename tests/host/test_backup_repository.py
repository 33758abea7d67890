"""docker-backup's use of restic, with a real restic and repositories in folders."""

import io
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace

import pytest

from proc import executable, wait_until
from slipway.deploy.backup import elsewhere, files, repository, set_up, shell, state
from slipway.deploy.backup.repository import Repository
from slipway.deploy.backup.settings import Settings
from slipway.deploy.backup.shell import Problem

pytestmark = pytest.mark.needs("restic")
# On servers docker-backup is root.
AS_HOST = (*repository.AS_HOST[:1], *(["--map-root-user"] if os.geteuid() else []), *repository.AS_HOST[1:])
VALUES = {"wal": 300, "any_second": 7, "keep": "7d 4w 6m", "postgres": False, "files": ()}


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr(repository, "CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(repository, "PAUSE", 0.2)
    monkeypatch.setattr(repository, "AS_HOST", AS_HOST)
    (tmp_path / "etc/default").mkdir(parents=True)
    (tmp_path / "etc/default/shop.backup").write_text("RESTIC_PASSWORD=a-password\n")
    return Settings("shop", to=str(tmp_path / "repository"), root=str(tmp_path), **VALUES)


@pytest.fixture(scope="session")
def empty(tmp_path_factory):
    """A new repository. Restic takes seconds for one, to find out how much work a password may cost here."""
    folder = tmp_path_factory.mktemp("restic") / "repository"
    env = {**os.environ, "RESTIC_PASSWORD": "a-password"}
    subprocess.run(["restic", "--repo", folder, "init"], env=env, stdout=subprocess.DEVNULL, check=True, timeout=60)
    return folder


@pytest.fixture
def made(settings, empty):
    shutil.copytree(empty, f"{settings.to}/files")
    return Repository(settings)


def keep(made, folder, name, kind):
    (folder / name).write_text(name)
    made.backup([name], kind, str(folder))


def test_what_is_kept_comes_back(made, tmp_path):
    keep(made, tmp_path, "one", kind="files")
    keep(made, tmp_path, "two", kind="points")
    [snapshot] = made.snapshots(kind="files")
    assert abs(snapshot.at - time.time()) < 60
    made.call("restore", snapshot.id, "--target", str(tmp_path / "back"))
    assert (tmp_path / "back/one").read_text() == "one"


def test_another_app_s_snapshots_are_not_ours(made, tmp_path):
    keep(made, tmp_path, "one", kind="files")
    other = Repository(Settings("blog", to=made.settings.to, root=made.settings.root, **VALUES))
    os.symlink("shop.backup", tmp_path / "etc/default/blog.backup")
    assert other.snapshots(kind="files") == [] != made.snapshots(kind="files")


def test_a_repository_that_is_missing_is_made_and_another_s_is_not(settings):
    assert not Repository(settings).is_made()
    Repository(settings).make_if_missing()
    assert Repository(settings).is_made()
    settings.keys["RESTIC_PASSWORD"] = "another"
    with pytest.raises(Problem, match=r"wrong password or no key found: type it by slipway backup --password$"):
        Repository(settings).is_made()


def test_a_repository_that_is_lost_is_made_anew_on_request(settings, tmp_path):
    """Not by itself: perhaps the disk is only not mounted."""
    (tmp_path / "picture").write_text("a picture")
    settings = replace(settings, files=(str(tmp_path / "picture"),))
    with pytest.raises(Problem, match=r"if it is lost, slipway backup --new makes another one$"):
        files.keep(settings, Repository(settings))
    files.keep(settings, Repository(settings), "--new")
    assert len(Repository(settings).snapshots(kind="files")) == 1


def test_hosts_that_are_set_up_together_make_one_repository(settings):
    """Two at once would leave two keys, and a configuration that only one of them reads."""
    hosts = [settings, replace(settings, prunes=False)]
    with ThreadPoolExecutor() as pool:
        assert [*pool.map(lambda host: set_up.make_repository(host, Repository(host)), hosts)] == [None, None]
    assert len(os.listdir(f"{settings.to}/files/keys")) == 1
    assert Repository(settings).snapshots(kind="files") == []


def test_a_host_with_a_folder_of_its_own_makes_a_repository_there(settings, monkeypatch):
    monkeypatch.setattr(set_up, "OTHERS", 0)
    host = replace(settings, prunes=False)
    set_up.make_repository(host, Repository(host))
    assert Repository(host).is_made()


@pytest.mark.parametrize(("error", "fails"), [("no such file or directory", False), ("input/output error", True)])
def test_a_file_that_goes_meanwhile_is_no_failure(made, tmp_path, monkeypatch, error, fails):
    """Uploads may be deleted at any time. A disk that cannot be read is a failure. (A stand-in for restic.)"""
    script = f"#!/bin/sh\necho 'error: open /var/www/shop/media/one: {error}' >&2\nexit 3\n"
    executable(tmp_path / "bin/restic", script)
    path = f"{tmp_path}/bin:{shell.ENVIRONMENT['PATH']}"
    monkeypatch.setitem(shell.ENVIRONMENT, "PATH", path)
    with pytest.raises(Problem, match=error) if fails else nullcontext():
        made.backup(["media"], "files")


def test_a_lock_of_a_living_one_is_awaited(made, tmp_path):
    """Another host prunes; meanwhile nothing fails."""
    (tmp_path / "large").write_bytes(os.urandom(300_000))
    made.backup(["large"], "files", str(tmp_path))
    lock = exclusive_lock(made)
    threading.Timer(1, ended, [lock]).start()
    began = time.monotonic()
    keep(made, tmp_path, "two", kind="files")
    assert time.monotonic() - began > 1 and len(made.snapshots(kind="files")) == 2


def test_a_file_is_read_after_the_lock_of_a_living_one(made, tmp_path):
    """Such as a dump, while another host prunes."""
    (tmp_path / "large").write_bytes(os.urandom(300_000))
    made.backup(["large"], "dump", str(tmp_path))
    [snapshot] = made.snapshots(kind="dump")
    threading.Timer(1, ended, [exclusive_lock(made)]).start()
    with open(tmp_path / "read", "wb") as out:
        made.call("dump", snapshot.id, "/large", out=out)
    assert (tmp_path / "read").stat().st_size == 300_000


def test_a_run_that_was_killed_does_not_keep_the_next_one_waiting(made, tmp_path):
    """Its lock is removed at once. A base backup after a killed prune waited 15 minutes, and failed."""
    (tmp_path / "large").write_bytes(os.urandom(300_000))
    made.backup(["large"], "files", str(tmp_path))
    ended(exclusive_lock(made))
    began = time.monotonic()
    made.prune()
    assert time.monotonic() - began < 60


def test_the_lock_of_another_server_with_this_name_stays(made, tmp_path, monkeypatch):
    """Its process does not run here, and may live there."""
    (tmp_path / "large").write_bytes(os.urandom(300_000))
    made.backup(["large"], "files", str(tmp_path))
    ended(exclusive_lock(made, socket.gethostname()))
    monkeypatch.setattr(repository, "PATIENCE", 2)
    with pytest.raises(Problem):
        made.prune()
    assert os.listdir(f"{made.settings.to}/files/locks")


def ended(process):
    """Kill a process, and wait for its end: of a zombie restic does not know that it is dead."""
    process.kill()
    process.wait()


def exclusive_lock(made, host=""):
    """Start a restic that keeps the repository to itself until it is killed, on the host of that name."""
    env = {**os.environ, "RESTIC_PASSWORD": "a-password", "RESTIC_REPOSITORY": f"{made.settings.to}/files"}
    words = [*AS_HOST, host or repository.host_name(), "restic", "--limit-download", "1", "check", "--read-data"]
    process = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: os.listdir(f"{made.settings.to}/files/locks"), 30, "the repository is locked")
    return process


def test_what_is_too_old_goes(made, tmp_path):
    """A repository that only grows keeps all."""
    for number in range(4):
        keep(made, tmp_path, f"points{number}", kind="points")
    kept = made.snapshots(kind="points")
    Repository(replace(made.settings, keep="all")).prune()
    assert made.snapshots(kind="points") == kept
    made.prune()
    assert made.snapshots(kind="points") == kept[1:]


def test_a_damaged_repository_is_no_backup(made, tmp_path):
    keep(made, tmp_path, "one", kind="files")
    [pack] = [path for path in (tmp_path / "repository/files/data").rglob("*") if path.is_file()][:1]
    pack.chmod(0o600)
    pack.write_bytes(b"x" * pack.stat().st_size)
    with pytest.raises(Problem, match="repository contains errors"):
        made.call("check", "--read-data")


# ---- the password ----


def typed(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.StringIO(text + "\n"))


def test_who_knows_the_password_is_reminded_no_more(made, tmp_path, monkeypatch, capsys):
    set_up.keep_password(made.settings, made)
    assert capsys.readouterr().out == "a-password\n"
    kept = tmp_path / "etc/default/shop.backup.kept"
    typed(monkeypatch, "another")
    with pytest.raises(Problem, match="wrong password"):
        set_up.keep_password(made.settings, made, "--typed")
    assert not kept.exists()
    typed(monkeypatch, "a-password")
    set_up.keep_password(made.settings, made, "--typed")
    assert kept.exists()


def test_a_new_server_takes_the_old_password(made, tmp_path, monkeypatch):
    file = tmp_path / "etc/default/shop.backup"
    file.write_text("RESTIC_PASSWORD=made-anew\nAWS_ACCESS_KEY_ID=key\n")
    typed(monkeypatch, "a-password")
    anew = replace(made.settings)
    set_up.keep_password(anew, Repository(anew), "--typed")
    assert file.read_text() == "RESTIC_PASSWORD=a-password\nAWS_ACCESS_KEY_ID=key\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_malformed_file_of_keys_is_one_line(settings):
    """Restic would say that a key in quotes is wrong, and not why."""
    with open(f"{settings.etc}/shop.backup", "a") as file:
        file.write("AWS_ACCESS_KEY_ID='key'\nexport AWS_REGION=eu\n")
    with pytest.raises(
        Problem, match=r"shop.backup line 2: AWS_ACCESS_KEY_ID is in quotes.*; .* line 3: drop the word"
    ):
        Repository(settings).is_made()


# ---- without a base backup ----


def test_without_a_base_backup_files_are_pruned_each_day(made, tmp_path):
    """By one of the hosts that have the repository in common."""
    for number in range(2):
        keep(made, tmp_path, f"copy{number}", kind="dump")
    sent = (str(tmp_path / "etc/default/shop.backup"),)
    daily = replace(made.settings, keep="1d", files=sent)
    other = replace(daily, prunes=False)
    files.keep(other, Repository(other))
    assert "prune" not in state.load(made.settings)
    files.keep(daily, Repository(daily))
    pruned = state.load(made.settings)["prune"]["at"]
    files.keep(daily, Repository(daily))
    assert state.load(made.settings)["prune"]["at"] == pruned
    state.save(daily, "prune", at=pruned - repository.DAY - 1)
    files.keep(daily, Repository(daily))
    assert state.load(made.settings)["prune"]["at"] > pruned


# ---- a database elsewhere ----


@pytest.fixture
def remote(settings, tmp_path, monkeypatch):
    """The settings of an app with a database elsewhere, and a Docker that prints what it got as the dump."""
    script = """#!/bin/sh
case $1 in run)
    [ ! -e "$0.fails" ] || { echo "half a dump"; echo "pg_dump: error: it is gone" >&2; exit 1; }
    env | grep ^PG | sort; echo "$@"
esac
"""
    executable(tmp_path / "bin/docker", script)
    path = f"{tmp_path}/bin:{shell.ENVIRONMENT['PATH']}"
    monkeypatch.setattr(shell, "ENVIRONMENT", {**shell.ENVIRONMENT, "PATH": path})
    url = "postgres://shop:a%40secret@db.example:5433/orders?sslmode=verify-full&sslrootcert=/run/secrets/CA&pool=8"
    (tmp_path / "etc/default/shop.env").write_text(f"DATABASE_URL={url}\n")
    return replace(settings, dump="postgres:17")


def test_a_dump_of_a_database_elsewhere(made, remote, capfdbinary):
    """Docker and pg_dump get its password by their environment, where no list of processes has it."""
    elsewhere.keep(remote, made)
    assert state.load(remote)["dump"]["problem"] == "" and not os.path.exists(f"{remote.folder}/dump")
    elsewhere.tell(remote, made, "latest")
    *variables, words = capfdbinary.readouterr().out.decode().splitlines()[-7:]
    assert (
        variables
        == [
            *("PGDATABASE=orders", "PGHOST=db.example", "PGPASSWORD=a@secret", "PGPORT=5433"),
            *("PGSSLMODE=verify-full", "PGSSLROOTCERT=/run/secrets/CA", "PGUSER=shop"),
        ][-6:]
    )
    assert "a@secret" not in words and "-e PGPASSWORD" in words and "postgres:17 --format=custom" in words
    with pytest.raises(Problem, match="has no dump of shop from before that time"):
        elsewhere.tell(remote, made, "1000000000")


def test_a_dump_that_fails_is_not_kept(made, remote, tmp_path):
    (tmp_path / "bin/docker.fails").touch()
    with pytest.raises(Problem, match="pg_dump: error: it is gone"):
        elsewhere.keep(remote, made)
    assert made.snapshots(kind="dump") == [] and "it is gone" in state.load(remote)["dump"]["problem"]


def test_only_postgres_is_dumped(made, remote, tmp_path):
    (tmp_path / "etc/default/shop.env").write_text("DATABASE_URL=mysql://x/y\n")
    with pytest.raises(Problem, match="DATABASE_URL is not that of a Postgres"):
        elsewhere.keep(remote, made)
