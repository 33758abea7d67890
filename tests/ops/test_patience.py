"""Migrations that meet a lock which others hold."""

import contextlib
import os
import sys

import psycopg2
import pytest

from ops.judging import add, copy
from proc import output, running, wait_until

ADD = "'ALTER TABLE xshop_order ADD a int'"
MODEL = "CreateModel('Order', [('id', AutoField(primary_key=True)), ('old', TextField(null=True))])"
TWO = f"RunSQL('CREATE TABLE made ()'), RemoveField('order', 'old'), RunSQL({ADD})"
INDEX = "AddIndexConcurrently('order', Index(fields=['id'], name='x'))"
CLOSED = f"RunPython(lambda apps, editor: transaction.atomic(editor.execute)({ADD}))"
APART = "    atomic = False\n"
SHARED, WRITES = "LOCK TABLE xshop_order IN ACCESS SHARE MODE", "LOCK TABLE xshop_order IN ROW EXCLUSIVE MODE"
WAITING = "SELECT pg_stat_clear_snapshot(); SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'" \
    " AND clock_timestamp() - query_start > interval '1 s'"
TRIES = "0002 waits for a lock that others hold: tries again in"


@pytest.mark.parametrize("operations, more, lock, seconds, said", [
    (TWO, "", SHARED, 60, TRIES), (TWO, APART, SHARED, 60, TRIES),
    (INDEX, APART, WRITES, 60, "Applying xshop.0002... OK"),
    (TWO, "", SHARED, 2, "CommandError: xshop.0002 got no lock: others hold it, and rollout.migrate is over\n"),
    (CLOSED, APART, SHARED, 2, "CommandError: xshop.0002 got no lock: others hold it. It is not atomic, so it may")])
def test_a_lock_that_others_hold(tmp_path, postgres, operations, more, lock, seconds, said):
    """An atomic migration begins again; another goes on where it stood, or says that it cannot. An index that is built
    concurrently is not cut off."""
    project, url = copy(tmp_path / "a project", "xshop"), postgres.url(postgres.database())
    add(project, "xshop.0001", MODEL)
    add(project, "xshop.0002", operations, "xshop.0001", more=more)
    env = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "project.settings",
           "PGOPTIONS": "-c lock_timeout=200ms", "LOCK_SECONDS": str(seconds)}
    command = [sys.executable, "-m", "django", "migrate", "xshop"]
    output([*command, "0001"], cwd=project, env=env)
    with contextlib.closing(psycopg2.connect(url)) as holder, holder.cursor() as cursor:
        def waited():
            cursor.execute(WAITING)
            return cursor.rowcount or process.output().count(TRIES) > 1
        cursor.execute(lock)
        with running(command, cwd=project, env=env) as process:
            if seconds > 2:
                wait_until(waited)
                holder.rollback()
            assert (process.wait(60) == 0) is (seconds > 2) and said in process.output(), process.output()
