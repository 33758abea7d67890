"""Migrations in a deploy: they meet a lock which others hold, or lock a large table themselves."""

import contextlib
import json
import os
import re
import sys
import time
from types import SimpleNamespace

import psycopg2
import psycopg2.errors
import pytest
from django.db import OperationalError

from ops.judging import add, copy
from proc import output, running, wait_until
from slipway.management.commands import migrate

ADD = "'ALTER TABLE xshop_order ADD a int'"
MODELS = """CreateModel('Order', [('id', AutoField(primary_key=True)), ('old', TextField(null=True))]),
    RunSQL('CREATE TABLE part (n int) PARTITION BY RANGE (n); CREATE TABLE part1 PARTITION OF part DEFAULT;'
    'INSERT INTO part SELECT generate_series(1, 100000); CREATE TABLE large AS SELECT * FROM part; ANALYZE')"""
TWO = f"RunSQL('CREATE TABLE made ()'), RemoveField('order', 'old'), RunSQL({ADD})"
INDEX = "AddIndexConcurrently('order', Index(fields=['id'], name='x'))"
CLOSED = f"RunPython(lambda apps, editor: transaction.atomic(editor.execute)({ADD}))"
COMMITS = f"RunSQL('/* it */ DO $$ BEGIN CREATE TABLE made (); COMMIT; ' {ADD} '; END $$')"
APART = "    atomic = False\n"
LOCK = {"table": "part", "waits": "writers", "work": {"part": {"rewritten": 1}, "large": {"scanned": 1}}}
ENTRY = {"changes": [], "before": {}, "locks": [LOCK]}
JUDGED = {"vendors": {"postgresql": {"migrations": {f"xshop.000{number}": ENTRY for number in (1, 2)}, "uses": {}}}}
TOLD = re.compile(r"lock: xshop.0002: part \(100 thousand rows, 3.* and large \(100 thousand rows, 3")
SHARED, WRITES = "LOCK TABLE xshop_order IN ACCESS SHARE MODE", "LOCK TABLE xshop_order IN ROW EXCLUSIVE MODE"
WAITING = (
    "SELECT pg_stat_clear_snapshot(); SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    " AND clock_timestamp() - query_start > interval '3 s' AND datname = current_database()"
)
TRIES = "waits for a lock that others hold: tries again in"


@pytest.mark.parametrize(
    "operations, extra, lock, seconds, most, message",
    [
        (TWO, "", SHARED, 60, 2, f"0002 {TRIES}"),
        (TWO, APART, SHARED, 60, 2, f"0002 {TRIES}"),
        *(
            (one, APART, lock, 60, 2, "Applying xshop.0002... OK")
            for one, lock in ((INDEX, WRITES), (CLOSED, SHARED), (COMMITS, SHARED))
        ),
        (INDEX, APART, "LOCK TABLE part1", 60, 2, f"lock: migrate {TRIES}"),
        ("RunSQL('SELECT 1')", APART, "LOCK TABLE auth_permission", 60, 2, f"lock: migrate {TRIES}"),
        (TWO, "", SHARED, 2, 2, "CommandError: xshop.0002 got no lock: others hold it, and rollout.migrate is over\n"),
        (
            CLOSED,
            APART,
            SHARED,
            20,
            2,
            "0002...CommandError: xshop.0002 got no lock: others hold it. It is not atomic, so",
        ),
        (TWO, APART, SHARED, 2, 2, "CommandError: xshop.0002 got no lock: others hold it. It is not atomic, so it may"),
        (TWO, "", "SELECT 1", 2, 0.1, "CommandError: tables would be locked for longer than rollout.max_lock, 0.1 s"),
    ],
)
def test_a_lock_that_others_hold(tmp_path, postgres, operations, extra, lock, seconds, most, message):
    """An atomic migration begins again; another goes on where it stood, or says that it cannot, after more patience.
    What waits after the last one, such as post_migrate, begins again. An index that is built concurrently is not cut
    off. First stands who will wait for this migration: a partitioned table has its partitions' size."""
    project, url = copy(tmp_path / "a project", "xshop"), postgres.url(postgres.database())
    add(project, "xshop.0001", MODELS)
    add(project, "xshop.0002", operations, "xshop.0001", more=extra)
    (project / "migrations.json").write_text(json.dumps(JUDGED))
    env = {
        **os.environ,
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "PGOPTIONS": "-c lock_timeout=5s",
    }
    command = [sys.executable, "-m", "django", "migrate", "xshop"]
    output([*command, "0001"], cwd=project, env=env)
    env |= {"LOCK_SECONDS": str(seconds), "MAX_LOCK": str(most)}
    with contextlib.closing(psycopg2.connect(url)) as holder, holder.cursor() as cursor:

        def waited():
            cursor.execute(WAITING)
            return cursor.rowcount or process.output().count(TRIES) > 1

        cursor.execute(lock)
        with running(command, cwd=project, env=env) as process:
            if goes := "CommandError" not in message:
                wait_until(waited)
                holder.rollback()
            assert (process.wait(60) == 0) is goes and message in process.output(), process.output()
            assert operations != CLOSED or TRIES not in process.output()
            assert "lock: xshop.0001" not in process.output() and len(TOLD.findall(process.output())) == 1


@pytest.fixture
def command(monkeypatch):
    """Return a function that handles the command, which then has `slept` and `sent`."""

    def handled(**settings):
        cursor = contextlib.nullcontext(SimpleNamespace(execute=command.sent.append))
        connection = SimpleNamespace(
            vendor="postgresql",
            settings_dict=settings,
            ensure_connection=list,
            execute_wrapper=contextlib.nullcontext,
            in_atomic_block=False,
            connection=SimpleNamespace(cursor=lambda: cursor),
        )
        monkeypatch.setattr(migrate, "connections", {"default": connection})
        command.handle(database="default")
        return command

    command = migrate.Command()
    command.slept, command.sent = [], []
    monkeypatch.setattr(time, "sleep", command.slept.append)
    monkeypatch.setattr(migrate.migrate.Command, "handle", lambda *_, **__: None)
    monkeypatch.setattr(migrate.database, "pending", list)
    monkeypatch.setattr(migrate.waits, "judge", lambda *_: None)
    for name in ("LOCK_SECONDS", "MAX_LOCK"):
        monkeypatch.setenv(name, "1000")
    return handled


def test_ever_longer_pauses_until_a_migration_is_applied(command):
    """It pauses for at most half a minute. Another error than the lock's is not repeated."""

    def locked():
        if len(made.slept) < 8:
            raise OperationalError from psycopg2.errors.LockNotAvailable()
        assert len(made.slept) == 8, "it tries again"
        raise OperationalError("the disk is full") from psycopg2.errors.DiskFull()

    made = command()
    made.verbosity = 0
    with pytest.raises(OperationalError, match="disk is full"):
        made.repeated(locked)
    assert made.slept == [1, 2, 4, 8, 16, 30, 30, 30]
    made.migration_progress_callback("render_success")
    assert made.pause == 30
    made.migration_progress_callback("apply_success")
    assert made.pause == 1


@pytest.mark.parametrize("pooled", [False, True])
def test_the_limit_of_a_wait_for_a_lock(command, pooled):
    """An index built CONCURRENTLY has all the time, and what follows the usual 2 s again. A session of a pooler is
    other people's next: it gets none."""
    made = command(DISABLE_SERVER_SIDE_CURSORS=pooled)
    assert made.executed(lambda *_: "done", "CREATE INDEX CONCURRENTLY i ON t (a)") == "done"
    assert made.sent[1:] == ([] if pooled else ["SET lock_timeout = '2.0s'"])
    assert pooled or "= '999." in made.sent[0]
