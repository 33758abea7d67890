"""Whom a migration keeps waiting, and if old code works after it: what the build's verdicts say on Postgres."""

import contextlib

import psycopg2
import pytest
from django.core.management import CommandError
from django_migration_linter.sql_analyser.base import Issue

from ops.judging import add, copy, in_build, verdicts
from slipway.schema import waits
from slipway.schema.verdicts import CURES, STAYS, issue_text


@pytest.mark.parametrize(
    "issue, message",
    [
        (("NOT_NULL", "NOT NULL constraint"), "NOT NULL constraint (item.note): " + CURES["NOT_NULL"]),
        (("ADD_UNIQUE", "ADDING unique constraint"), "ADDING unique constraint: " + CURES["ADD_UNIQUE"]),
        (("CREATE_INDEX", "CREATE INDEX locks table", "shop"), "CREATE INDEX locks table (shop)"),
        (("REINDEX", "REINDEX locks table"), "REINDEX locks table"),
    ],
)
def test_a_message_is_whole(issue, message):
    assert issue_text(Issue(*issue), ["item.note"]) == message


ORDER, LINE = "xshop_order", "xshop_line"
ALL, SAME, ROWS = "readers and writers", "writers of the same rows", "changed row by row"


def lock(waits, work, table=ORDER, of=None):
    return {"table": table, "waits": waits, "work": {of or table: work}}


NEW = """CreateModel("Order", [("id", AutoField(primary_key=True)), ("short", CharField(max_length=20)),
    ("long", CharField(max_length=40)), ("number", SmallIntegerField()), ("free", TextField(null=True)),
    ("price", DecimalField(max_digits=9, decimal_places=2))]),
    CreateModel("Line", [("id", AutoField(primary_key=True)), ("note", TextField())])"""
COPY = "RunPython(lambda apps, _: [one.save() for one in apps.get_model('xshop', 'Line').objects.order_by('id')[:999]])"
LOCKED = "RunSQL('ALTER TABLE xshop_line ALTER note SET STATISTICS 9; LOCK xshop_line', ''),"
FILL = "RunSQL('{}', '')".format
UPDATE = "RunSQL('UPDATE xshop_order SET number = number')"
REWRITTEN, SCANNED, UPDATED = lock(ALL, "rewritten"), lock(ALL, "scanned"), lock(SAME, ROWS)
COPIED = [lock(SAME, ROWS, LINE), lock(ALL, ROWS, of=LINE)]
INDEXED, OTHER = lock("writers", "scanned"), lock("writers", "scanned", LINE, of=ORDER)
APART = "    atomic = False\n"
CASES = {  # name of a migration → its operations, its verdict, whom it locks, and if it is atomic
    "longer": ("AlterField('order', 'short', CharField(max_length=40))", "ok", []),
    "text": ("AlterField('order', 'short', TextField())", "ok", []),
    "no_text": ("AlterField('order', 'short', CharField(max_length=40))", "error", [REWRITTEN]),
    "digits": ("AlterField('order', 'price', DecimalField(max_digits=12, decimal_places=2))", "ok", []),
    "scale": ("AlterField('order', 'price', DecimalField(max_digits=14, decimal_places=3))", "error", [REWRITTEN]),
    "shorter": ("AlterField('order', 'long', CharField(max_length=10))", "error", [REWRITTEN]),
    "integer": ("AlterField('order', 'number', IntegerField())", "ok", [REWRITTEN]),
    "small": ("AlterField('order', 'number', SmallIntegerField())", "error", [REWRITTEN]),
    "big": ("AlterField('order', 'number', BigIntegerField())", "ok", [REWRITTEN]),
    "random": ("RunSQL('ALTER TABLE xshop_order ADD u uuid DEFAULT gen_random_uuid()')", "warning", [REWRITTEN]),
    "not_null": ("AlterField('order', 'free', TextField())", "error", [SCANNED]),
    "unique": ("AddConstraint('order', UniqueConstraint(fields=['id'], name='u'))", "error", [SCANNED]),
    "check": ("AddConstraint('order', CheckConstraint(condition=Q(number__gte=0), name='c'))", "error", [SCANNED]),
    "check_new": (
        "AddField('order', 'o', IntegerField(null=True)), AddConstraint('order', CheckConstraint("
        "condition=Q(o__gte=0), name='p')), CreateModel('Own', [('id', AutoField(primary_key=True))]),"
        "AddConstraint('own', CheckConstraint(condition=Q(id__gte=0), name='q'))",
        "ok",
        [SCANNED],
    ),
    "not_valid": ("RunSQL('ALTER TABLE xshop_order ADD CONSTRAINT v CHECK (number > 0) NOT VALID')", "error", []),
    "valid": ("RunSQL('ALTER TABLE xshop_order VALIDATE CONSTRAINT v')", "warning", []),
    "foreign": ("AddField('order', 'line', ForeignKey('xshop.Line', CASCADE, null=True))", "warning", [OTHER, SCANNED]),
    "plain_index": ("AddIndex('order', Index(fields=['free'], name='i'))", "warning", [INDEXED]),
    "db_index": ("AlterField('order', 'long', CharField(max_length=10, db_index=True))", "warning", [INDEXED]),
    "index_apart": ("AddIndex('order', Index(fields=['free'], name='j'))", "warning", [INDEXED], APART),
    "concurrently": ("AddIndexConcurrently('order', Index(fields=['free'], name='k'))", "ok", [], APART),
    "nullable": ("AddField('order', 'a', TextField(null=True))", "ok", []),
    "default": ("AddField('order', 'b', TextField(db_default=''))", "ok", []),
    "now": ("AddField('order', 'c', DateTimeField(db_default=Now()))", "ok", []),
    "update_all": (UPDATE, "warning", [UPDATED]),
    "update_apart": (UPDATE, "warning", [UPDATED], APART),
    "commits": ("RunSQL('DO $$ BEGIN UPDATE xshop_order SET number = number; COMMIT; END $$')", "warning", [], APART),
    "by_hand": (
        "RunSQL(['BEGIN', 'SAVEPOINT a', 'UPDATE xshop_order SET number = number', 'ROLLBACK TO SAVEPOINT a',"
        " 'COMMIT'])",
        "warning",
        [UPDATED],
        APART,
    ),
    "caught": ("RunPython(caught)", "warning", []),
    "reversible": ("RunSQL('ALTER TABLE xshop_order ADD g int', 'ALTER TABLE xshop_order DROP COLUMN g')", "ok", []),
    "copies": (COPY, "warning", [lock(SAME, ROWS, LINE)]),
    "new_table": (
        "CreateModel('New', [('id', AutoField(primary_key=True)), ('order', ForeignKey('xshop.Order', CASCADE))])",
        "ok",
        [],
    ),
    "stays_locked": (f"AddField('order', 'd', TextField(null=True)), {COPY}", "warning", COPIED),
    "state": (f"AddField('order', 'e', TextField(null=True)), SeparateDatabaseAndState([{COPY}])", "warning", COPIED),
    "update_again": (
        f"{UPDATE}, AddField('line', 'f', TextField(null=True)), {UPDATE}",
        "warning",
        [lock(ALL, ROWS, LINE, of=ORDER), UPDATED],
    ),
    "sum": (
        f"{LOCKED} {FILL('UPDATE xshop_line SET note = (SELECT count(*) FROM xshop_order)')}",
        "ok",
        [lock(ALL, ROWS, LINE) | {"work": {LINE: ROWS, ORDER: "read"}}],
    ),
    "words": (
        f"{LOCKED} CreateModel('Word', [('id', AutoField(primary_key=True))]),"
        f"{FILL('INSERT INTO xshop_word SELECT number FROM xshop_order')}",
        "ok",
        [lock(ALL, "read", LINE, of=ORDER)],
    ),
    "table_as": (
        f"{LOCKED} {FILL('CREATE TABLE v AS SELECT * FROM xshop_order')}",
        "ok",
        [lock(ALL, "read", LINE, of=ORDER)],
    ),
    "view": (f"{LOCKED} {FILL('CREATE VIEW w AS SELECT id FROM xshop_order')}", "ok", []),
    "reads": (FILL("UPDATE xshop_line SET note = (SELECT count(*) FROM xshop_order)"), "ok", [lock(SAME, ROWS, LINE)]),
    "materialized": (FILL("CREATE MATERIALIZED VIEW m AS SELECT id FROM xshop_order"), "ok", []),
    "refresh": (
        FILL("REFRESH MATERIALIZED VIEW m"),
        "ok",
        [lock(ALL, "rewritten", "m") | {"work": {"m": "rewritten", ORDER: "read"}}],
    ),
    "partitions": (
        FILL("CREATE TABLE part (n int) PARTITION BY RANGE (n);CREATE TABLE part1 PARTITION OF part DEFAULT"),
        "ok",
        [],
    ),
    "partitioned": (
        FILL("CREATE INDEX part2 ON part (n)"),
        "warning",
        [lock("writers", "scanned", "part", of="part1"), lock("writers", "scanned", "part1")],
    ),
    "weaker_again": (
        "RunSQL(['CREATE INDEX v1 ON xshop_order (id)', 'ALTER TABLE xshop_order ADD v uuid DEFAULT"
        " gen_random_uuid()', 'CREATE INDEX v2 ON xshop_order (id)'], '')",
        "warning",
        [REWRITTEN],
        APART,
    ),
    "truncate": (FILL("TRUNCATE xshop_order CASCADE"), "ok", []),
    "python_runs": (f"{LOCKED} RunPython(lambda apps, schema_editor: None, RunPython.noop)", "warning", []),
    "block_runs": (f"{LOCKED} {FILL('DO $$ BEGIN END $$')}", "warning", []),
    "nothing_runs": (f"{LOCKED} RunPython(RunPython.noop, RunPython.noop)", "ok", []),
    "runs_first": (f"RunPython(lambda apps, schema_editor: None, RunPython.noop), {LOCKED}", "ok", []),
    "labels": (
        "AlterField('order', 'price', DecimalField('p', max_digits=14, decimal_places=3)),"
        "AlterField('line', 'note', TextField('n')), AddField('order', 'z', IntegerField(default=1))",
        "error",
        [],
    ),
    "update_first": (f"{UPDATE}, AddField('order', 'h', TextField(null=True))", "warning", [UPDATED]),
}


def written(folder):
    """Write a project with these migrations."""
    project, before = copy(folder, "xshop"), []
    for name, (operations, _, _, *more) in {"0001": (NEW, "", []), **CASES}.items():
        add(project, f"xshop.{name}", operations, *before, more="".join(more))
        before = [f"xshop.{name}"]
    return project


@pytest.fixture(scope="module")
def judged(tmp_path_factory, postgres):
    project = written(tmp_path_factory.mktemp("locks") / "a project")
    done = verdicts(project, "xshop.longer", url=postgres.url(postgres.database(migrated=False)))
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "xshop.longer on postgresql: ok\n")
    return in_build(project)["vendors"]["postgresql"]


def test_messages_name_what_changes(judged):
    """A column that only got another label is not named; a table that stays locked while Python or a DO block runs
    is."""
    assert "(order.z)" in judged["xshop.labels"]["messages"][0]
    assert judged["xshop.check"]["messages"] == [f"ADDING check constraint ({ORDER}): {CURES['ADD_CHECK']}"]
    for name in ("python_runs", "block_runs"):
        assert STAYS.format(LINE, name) in judged[f"xshop.{name}"]["messages"]


@pytest.mark.parametrize("name", CASES)
def test_whom_a_migration_locks(judged, name):
    _operations, verdict, locks, *_ = CASES[name]
    told = judged[f"xshop.{name}"]
    assert (told["verdict"], told.get("locks", [])) == (verdict, locks), told


LARGE, MIDDLE, SMALL = [6 * 10**9, 48_000_000], [150 * 10**6, 0], [8192, 100]
LONG, ROW = f"{ORDER} (48 million rows, 6 GB): ", "wait while it is changed row by row, duration unknown"
TOLD = [  # a lock, the tables' sizes → the line, and which cure it names if the deploy is refused
    (REWRITTEN, {ORDER: LARGE}, LONG + "readers and writers wait while it is rewritten, about 300.0 s", "rewritten"),
    (INDEXED, {ORDER: MIDDLE}, f"{ORDER} (150 MB): writers wait while it is scanned, about 1.5 s", ""),
    (
        OTHER,
        {ORDER: LARGE, LINE: SMALL},
        f"{LINE} (100 rows, 8.2 kB): writers wait while {ORDER} (48 million rows, 6 GB) is scanned, about 60.0 s",
        "scanned",
    ),
    (lock(ALL, ROWS), {ORDER: LARGE}, f"{LONG}readers and writers {ROW}", ROWS),
    (
        lock(ALL, ROWS, LINE) | {"work": {LINE: "rewritten", ORDER: "read"}},
        {ORDER: LARGE},
        f"{LINE} (0 bytes): {ALL}"
        f" wait while it is rewritten and {ORDER} (48 million rows, 6 GB) is read, duration unknown",
        "read",
    ),
    (UPDATED, {ORDER: LARGE}, f"{LONG}writers of the same rows {ROW}", ""),
    (lock(ALL, ROWS), {ORDER: SMALL}, "", ""),
]


@pytest.mark.parametrize("lock, sizes, line, cure", TOLD)
def test_who_waits_for_how_long(lock, sizes, line, cure):
    said = []
    with pytest.raises(CommandError, match="max_lock, 2 s") if cure else contextlib.nullcontext():
        waits.check([("shop.0002", lock)], sizes, 2, said.append)
    cure = f": {waits.CURES[cure]}" if cure else ""
    assert said == ([f"lock: shop.0002: {line}{cure}"] if line else [])


def test_the_size_of_a_table(postgres):
    """A partitioned table is as large as its partitions; one that was never analyzed takes no rows away. A materialized
    view has a size, too."""
    url = postgres.url(postgres.database(migrated=False))
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE part (n int) PARTITION BY RANGE (n); CREATE TABLE rest PARTITION OF part DEFAULT;"
            "INSERT INTO rest VALUES (1), (2); CREATE MATERIALIZED VIEW m AS SELECT * FROM part; ANALYZE;"
            "CREATE TABLE later PARTITION OF part FOR VALUES FROM (3) TO (9)"
        )
        cursor.execute(waits.SIZES, [["part", "m"]])
        assert {(name, size > 0, rows) for name, size, rows in cursor} == {("part", True, 2), ("m", True, 2)}
