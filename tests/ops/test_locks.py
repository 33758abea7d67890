"""Whom a migration keeps waiting, and if old code works after it: what the build's verdicts say on Postgres."""

import contextlib
import json
import os

import psycopg2
import pytest
from django_migration_linter.sql_analyser.base import Issue

from slipway.schema.columns import widens
from slipway.schema.verdicts import CURES, text
from ops.judging import add, copy, found, verdicts
from proc import ROOT, edit, passed, python


@pytest.mark.parametrize("issue, said", [
    (("NOT_NULL", "NOT NULL constraint"), "NOT NULL constraint (item.note): " + CURES["NOT_NULL"]),
    (("ADD_UNIQUE", "ADDING unique constraint"), "ADDING unique constraint: " + CURES["ADD_UNIQUE"]),
    (("DROP_COLUMN", "DROPPING columns", "shop", "x"), "DROPPING columns (shop.x): " + CURES["DROP_COLUMN"]),
    (("CREATE_INDEX", "CREATE INDEX locks table", "shop"), "CREATE INDEX locks table (shop)"),
    (("REINDEX", "REINDEX locks table"), "REINDEX locks table")])
def test_a_message_is_whole(issue, said):
    assert text(Issue(*issue), ["item.note"]) == said


@pytest.mark.parametrize("old, new, is_wider", [
    ("varchar(20)", "varchar(40)", True), ("varchar(40)", "varchar(20)", False),
    ("varchar(20)", "text", True), ("text", "varchar(20)", False),
    ("smallint", "integer", True), ("smallint", "bigint", True), ("bigint", "integer", False),
    ("integer", "integer", False), ("integer", "text", False), ("numeric(10, 2)", "numeric(12, 2)", True),
    ("numeric(10, 2)", "numeric(12, 3)", False), ("numeric(10, 2)", "numeric(9, 2)", False),
    ("numeric(10, 2)", "text", False), ("varchar(9)", "numeric(12)", False)])
def test_which_types_are_wider(old, new, is_wider):
    assert widens(old, new) is is_wider


ORDER, LINE = "xshop_order", "xshop_line"
NEW = """migrations.CreateModel("Order", [("id", models.AutoField(primary_key=True)),
    ("short", models.CharField(max_length=20)), ("long", models.CharField(max_length=40)),
    ("number", models.IntegerField()), ("free", models.TextField(null=True)),
    ("price", models.DecimalField(max_digits=9, decimal_places=2))]),
    migrations.CreateModel("Line", [("id", models.AutoField(primary_key=True)), ("note", models.TextField())])"""


def alter(name, field):
    return f'migrations.AlterField("order", "{name}", models.{field})'


def add_field(name, field):
    return f'migrations.AddField("order", "{name}", models.{field})'


def constraint(begin):
    return f'migrations.AddConstraint("order", models.{begin}, name="{begin[:5]}"))'


def index(operation, name):
    return f'{operation}("order", models.Index(fields=["free"], name="{name}"))'


def sql(text):
    return f"migrations.RunSQL({text!r})"


def lock(waits, work, table=ORDER, of=None):
    return {"table": table, "waits": waits, "work": {of or table: work}}


ALL, SAME, ROWS = "readers and writers", "writers of the same rows", "changed row by row"
COPY = ("migrations.RunPython(lambda apps, _: [one.save() for one in"
        " apps.get_model('xshop', 'Line').objects.order_by('id')[:999]])")
REWRITTEN, SCANNED, UPDATED = lock(ALL, "rewritten"), lock(ALL, "scanned"), lock(SAME, ROWS)
INDEXED, OTHER = lock("writers", "scanned"), lock("writers", "scanned", LINE, of=ORDER)
IMPORTS = "\nfrom django.contrib.postgres import operations as indexes\nfrom django.db.models import functions\n"
APART = "    atomic = False\n"
CASES = {  # name of a migration → its operations, its verdict, whom it locks, and if it is atomic
    "longer": (alter("short", "CharField(max_length=40)"), "ok", []),
    "text": (alter("short", "TextField()"), "ok", []),
    "digits": (alter("price", "DecimalField(max_digits=12, decimal_places=2)"), "ok", []),
    "shorter": (alter("long", "CharField(max_length=10)"), "error", [REWRITTEN]),
    "big": (alter("number", "BigIntegerField()"), "ok", [REWRITTEN]),
    "random": (sql("ALTER TABLE xshop_order ADD u uuid DEFAULT gen_random_uuid()"), "warning", [REWRITTEN]),
    "not_null": (alter("free", "TextField()"), "error", [SCANNED]),
    "unique": (constraint("UniqueConstraint(fields=['number']"), "error", [SCANNED]),
    "check": (constraint("CheckConstraint(condition=models.Q(number__gte=0)"), "ok", [SCANNED]),
    "not_valid": (sql("ALTER TABLE xshop_order ADD CONSTRAINT v CHECK (number > 0) NOT VALID"), "warning", []),
    "valid": (sql("ALTER TABLE xshop_order VALIDATE CONSTRAINT v"), "warning", []),
    "foreign": (add_field("line", 'ForeignKey("xshop.Line", models.CASCADE, null=True)'), "warning", [OTHER, SCANNED]),
    "plain_index": (index("migrations.AddIndex", "a"), "warning", [INDEXED]),
    "db_index": (alter("long", "CharField(max_length=10, db_index=True)"), "warning", [INDEXED]),
    "index_apart": (index("migrations.AddIndex", "b"), "warning", [INDEXED], APART),
    "concurrently": (index("indexes.AddIndexConcurrently", "c"), "ok", [], APART),
    "nullable": (add_field("a", "TextField(null=True)"), "ok", []),
    "default": (add_field("b", 'TextField(db_default="")'), "ok", []),
    "now": (add_field("c", "DateTimeField(db_default=functions.Now())"), "ok", []),
    "update_all": (sql("UPDATE xshop_order SET number = number"), "warning", [UPDATED]),
    "update_apart": (sql("UPDATE xshop_order SET number = number"), "warning", [UPDATED], APART),
    "copies": (COPY, "warning", [lock(SAME, ROWS, LINE)]),
    "new_table": ('migrations.CreateModel("New", [("id", models.AutoField(primary_key=True)),'
                  ' ("order", models.ForeignKey("xshop.Order", models.CASCADE))])', "ok", []),
    "stays_locked": (f"{add_field('d', 'TextField(null=True)')}, {COPY}", "warning",
                     [lock(SAME, ROWS, LINE), lock(ALL, ROWS, of=LINE)]),
}


def asked(url, sql):
    with contextlib.closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def written(folder):
    """Write a project with these migrations."""
    project, before = copy(folder, "xshop"), ["xshop.0001"]
    add(project, "xshop.0001", NEW)
    for name, (operations, _, _, *more) in CASES.items():
        add(project, f"xshop.{name}", operations, *before, more="".join(more))
        before = [f"xshop.{name}"]
        edit(project / f"xshop/migrations/{name}.py", "\n", IMPORTS)
    return project


@pytest.fixture(scope="module")
def judged(tmp_path_factory, postgres):
    project = written(tmp_path_factory.mktemp("locks") / "a project")
    url = postgres.url(postgres.database(migrated=False))
    done = verdicts(project, "xshop.longer", url=url)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "xshop.longer on postgresql: ok\n")
    assert not asked(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"), "it may be somebody's"
    return found(project)["vendors"]["postgresql"]


@pytest.mark.parametrize("name", CASES)
def test_whom_a_migration_locks(judged, name):
    operations, verdict, locks, *_ = CASES[name]
    told = judged[f"xshop.{name}"]
    assert (told["verdict"], told.get("locks", [])) == (verdict, locks), told


def test_the_sizes_of_tables(postgres):
    """A partitioned table has its partitions' size."""
    url = postgres.url(postgres.database())
    setup = ("CREATE TABLE part (n int) PARTITION BY RANGE (n); CREATE TABLE part1 PARTITION OF part DEFAULT;"
             " INSERT INTO part SELECT generate_series(1, 1000); ANALYZE part1; SELECT 1")
    asked(url, setup)
    done = passed(python("manage.py", "tablesizes", "part", "part1", "nowhere", cwd=ROOT,
                         env={**os.environ, "DATABASE_URL": url}))
    sizes = json.loads(done.stdout)
    assert sizes == {"part": sizes["part1"], "part1": [sizes["part"][0], 1000]} and sizes["part"][0] > 36_000
