"""Migrations that meet a lock which others hold."""

import contextlib
import os
import sys

import psycopg2
import pytest

from ops.judging import add, copy
from proc import passed, python, running, wait_until

ADD = "ALTER TABLE xshop_order ADD {} int"
IMPORTS = f"""
from django.contrib.postgres import operations as indexes
from django.db import transaction


def closed(apps, editor):
    with transaction.atomic():
        editor.execute({ADD.format('a')!r})


"""
MODEL = """migrations.CreateModel("Order", [("id", models.AutoField(primary_key=True)),
    ("old", models.TextField(null=True))])"""
TWO = f"migrations.RemoveField('order', 'old'), migrations.RunSQL({ADD.format('a')!r})"
INDEX, CLOSED = ("indexes.AddIndexConcurrently('order', models.Index(fields=['id'], name='x'))",
                 "migrations.RunPython(closed)")
APART = "    atomic = False\n"
SHARED, WRITES = "LOCK TABLE xshop_order IN ACCESS SHARE MODE", "LOCK TABLE xshop_order IN ROW EXCLUSIVE MODE"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'CREATE INDEX%' AND" \
    " clock_timestamp() - query_start > interval '1 s'"


@pytest.fixture
def migrates(tmp_path, postgres):
    """Return a function that runs migrate with an operation on xshop_order, on which a connection holds a lock."""
    url = postgres.url(postgres.database())

    @contextlib.contextmanager
    def run(operations, more="", lock=SHARED, seconds=60):
        project = copy(tmp_path / "a project", "xshop")
        add(project, "xshop.0001", MODEL)
        add(project, "xshop.0002", operations, "xshop.0001", more=more)
        path = project / "xshop/migrations/0002.py"
        path.write_text(path.read_text().replace("\n\n\n", f"\n{IMPORTS}", 1))
        env = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "project.settings",
               "PGOPTIONS": "-c lock_timeout=200ms", "LOCK_SECONDS": str(seconds)}
        passed(python("-m", "django", "migrate", "xshop", "0001", cwd=project, env=env))
        with contextlib.closing(psycopg2.connect(url)) as holder, holder.cursor() as cursor:
            cursor.execute(lock)
            with running([sys.executable, "-m", "django", "migrate", "xshop"], cwd=project, env=env) as process:
                yield process, holder
    run.url = url
    return run


@pytest.mark.parametrize("more", ["", APART])
def test_what_gets_no_lock_tries_again(migrates, more):
    """It begins again where it is atomic; else it goes on where it stood."""
    first = "migrations.RunSQL('CREATE TABLE made ()'), "
    with migrates(first + TWO, more) as (process, holder):
        wait_until(lambda: process.output().count("0002 waits for a lock that others hold: tries again in") > 1)
        holder.rollback()
        assert process.wait(60) == 0, process.output()


def test_an_index_that_is_built_concurrently_is_not_cut_off(migrates):
    with contextlib.closing(psycopg2.connect(migrates.url)) as other, \
            migrates(INDEX, APART, WRITES) as (process, holder):
        other.autocommit, cursor = True, other.cursor()

        def waits():
            cursor.execute(WAITING)
            return cursor.fetchone()[0]
        wait_until(waits)
        holder.rollback()
        assert process.wait(60) == 0 and "lock: " not in process.output(), process.output()


@pytest.mark.parametrize("operations, more, said", [
    (TWO, "", "others hold it, and rollout.migrate is over"),
    (CLOSED, APART, "others hold it. It is not atomic, so it may have ended halfway")])
def test_what_gets_no_lock_in_time_fails(migrates, operations, more, said):
    with migrates(operations, more, seconds=2) as (process, _):
        assert process.wait(60) == 1
        assert f"CommandError: xshop.0002 got no lock: {said}" in process.output().splitlines()[-1]
