"""Backups of uploads, settings and SQLite, and their way back, with a real restic."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from host import test_backup_repository
from proc import put
from slipway.deploy.backup import files
from slipway.deploy.backup.repository import Repository
from slipway.deploy.backup.shell import Problem

pytestmark = pytest.mark.needs("restic")
empty, made, settings = (getattr(test_backup_repository, name) for name in ("empty", "made", "settings"))  # fixtures


@pytest.mark.parametrize("in_a_file", [False, True])
def test_sqlite_is_copied_while_it_is_used(made, tmp_path, in_a_file):
    """With what is still in its journal."""
    data = tmp_path / "var/www/shop/data"
    data.mkdir(parents=True)
    put(tmp_path / "etc/default/shop.secrets/db", "sqlite:////data/db.sqlite3\n")
    setting = "DATABASE_URL_FILE=/run/secrets/db" if in_a_file else "DATABASE_URL=sqlite:////data/db.sqlite3"
    (tmp_path / "etc/default/shop.env").write_text(f"{setting}\n")
    with closing(sqlite3.connect(data / "db.sqlite3")) as living:
        living.execute("PRAGMA journal_mode = WAL")
        living.execute("CREATE TABLE orders (id)")
        living.execute("INSERT INTO orders VALUES (7)")
        living.commit()
        files.keep(made.settings, made)
    [snapshot] = made.snapshots(kind="files")
    made.call("restore", snapshot.id, "--target", str(tmp_path / "back"))
    [copy] = (tmp_path / "back").rglob("db.sqlite3")
    with closing(sqlite3.connect(copy)) as restored:
        assert restored.execute("SELECT id FROM orders").fetchall() == [(7,)]
    assert not (tmp_path / "var/backups/shop/sqlite").exists()


def test_uploads_come_back_and_newer_ones_stay(made, tmp_path, monkeypatch):
    """Settings come back only to a host without a release."""
    monkeypatch.setattr(files.shell, "output", lambda *words, **options: "")  # chown: here is no user shop
    media, env = tmp_path / "var/www/shop/media", tmp_path / "etc/default/shop.env"
    media.mkdir(parents=True)
    (media / "old.png").write_text("old")
    env.write_text("DEBUG=0\n")
    settings = replace(made.settings, files=(str(env), str(media)))
    files.keep(settings, Repository(settings))
    (media / "old.png").unlink()
    (media / "new.png").write_text("new")
    env.write_text("DEBUG=1\n")
    put(tmp_path / "var/www/shop/TAG", "export TAG=build-1\n")
    files.put_back(settings, Repository(settings), "latest")
    assert sorted(path.name for path in media.iterdir()) == ["new.png", "old.png"]
    assert env.read_text() == "DEBUG=1\n"
    (tmp_path / "var/www/shop/TAG").unlink()
    files.put_back(settings, Repository(settings), "latest")
    assert env.read_text() == "DEBUG=0\n"


@pytest.fixture
def sqlite(made, tmp_path, monkeypatch):
    """The settings of an app with SQLite and an upload, which are kept."""
    monkeypatch.setattr(files.shell, "output", lambda *words, **options: "")  # chown: here is no user shop
    put(tmp_path / "etc/default/shop.env", "DATABASE_URL=sqlite:////data/db.sqlite3\n")
    put(tmp_path / "var/www/shop/media/one.png", "one")
    (tmp_path / "var/www/shop/data").mkdir()
    with closing(sqlite3.connect(tmp_path / "var/www/shop/data/db.sqlite3")) as database:
        database.execute("CREATE TABLE orders (id)")
    settings = replace(made.settings, files=(f"{tmp_path}/etc/default/shop.env", f"{tmp_path}/var/www/shop/media"))
    files.keep(settings, made)
    return settings


def test_a_new_server_sends_nothing_before_it_has_what_was_lost(made, sqlite, tmp_path):
    """Its empty folder would be the newest, and come back as "latest"."""
    shutil.rmtree(tmp_path / "var")
    (tmp_path / "etc/default/shop.env").unlink()
    (tmp_path / "var/www/shop/media").mkdir(parents=True)
    with pytest.raises(
        Problem, match=r"has files of another server of shop: bring them here by slipway restore --files"
    ):
        files.keep(sqlite, made)
    files.put_back(sqlite, made, "latest")
    assert (tmp_path / "var/www/shop/media/one.png").read_text() == "one"
    with closing(sqlite3.connect(tmp_path / "var/www/shop/data/db.sqlite3")) as database:
        assert database.execute("SELECT count(*) FROM orders").fetchone() == (0,)
    files.keep(sqlite, made)
    assert len(made.snapshots(kind="files")) == 2


def test_a_living_database_is_not_replaced_by_its_copy(made, sqlite, tmp_path):
    database = tmp_path / "var/www/shop/data/db.sqlite3"
    database.write_bytes(b"living")
    files.put_back(sqlite, made, "latest")
    assert database.read_bytes() == b"living"


def test_a_new_server_may_begin_anew(made, sqlite, tmp_path):
    shutil.rmtree(tmp_path / "var")
    files.keep(sqlite, made, "--new")
    files.keep(sqlite, made)
    assert len(made.snapshots(kind="files")) == 3
