"""Whom a migration keeps waiting on Postgres: what the build notes of it."""

import pytest

from ops.judging import add, copy, in_build, verdicts
from slipway.schema.executor import STAYS

ORDER, LINE = "xshop_order", "xshop_line"
ALL, WRITERS, SAME, ROWS = "readers and writers", "writers", "writers of the same rows", "changed row by row"
BTREE, GIN, WORDS, EXCLUDE = (
    f"indexed {how}" for how in ("by btree", "by gin", "by gin of expressions", "for EXCLUDE")
)


def lock(waits, *work, table=ORDER, of=None, **others):
    """Return an entry of `locks`. `work`: what is done to the table or to `of`, twice if it is named twice."""
    work = {of or table: work, **others}
    return {
        "table": table,
        "waits": waits,
        "work": {name: {kind: kinds.count(kind) for kind in kinds} for name, kinds in work.items()},
    }


NEW = """BtreeGistExtension(), TrigramExtension(),
    CreateModel("Order", [("id", AutoField(primary_key=True)), ("short", CharField(max_length=20)),
    ("long", CharField(max_length=40)), ("number", SmallIntegerField()), ("free", TextField(null=True)),
    ("price", DecimalField(max_digits=9, decimal_places=2))]),
    CreateModel("Line", [("id", AutoField(primary_key=True)), ("note", TextField())]),
    RunSQL("ALTER TABLE xshop_order ADD during tstzrange", "")"""
COPY = "RunPython(lambda apps, _: [one.save() for one in apps.get_model('xshop', 'Line').objects.{}])"
SAVE, ITERATE = COPY.format("order_by('id')[:999]"), COPY.format("iterator()")
CREATE = COPY.format("bulk_create([apps.get_model('xshop', 'Line')(note='a')])")
LOCKED = "RunSQL('ALTER TABLE xshop_line ALTER note SET STATISTICS 9; LOCK xshop_line', ''),"
PYTHON = "RunPython(lambda apps, editor: {})".format
FILL = 'RunSQL("""{}""", "")'.format
CHECKED = FILL("ALTER TABLE xshop_line ADD CONSTRAINT k CHECK (note >= ''); ALTER TABLE xshop_line DROP CONSTRAINT k")
UPDATE = FILL("UPDATE xshop_order SET number = number")
INDEX = "AddIndex('order', Index(fields=['{0}'], name='x_{0}')),".format
INDEX_BY = """RunSQL(["CREATE INDEX x ON xshop_order USING {}", "DROP INDEX x"])""".format
LOOP = """do $$ declare one record; begin {} for one in table xshop_order loop
    update xshop_line set note = '' where id = one.id; end loop; end $$""".format
REWRITTEN, SCANNED, UPDATED = lock(ALL, "rewritten", BTREE), lock(ALL, "scanned"), lock(SAME, ROWS)
SAVED, INDEXED, OTHER = lock(SAME, ROWS, table=LINE), lock(WRITERS, BTREE), lock(ALL, ROWS, table=LINE, of=ORDER)
READING = lock(ALL, "read", table=LINE, of=ORDER)
APART = "    atomic = False\n"
CASES = {  # name of a migration → its operations, whom it locks, and if it is atomic
    "longer": ("AlterField('order', 'short', CharField(max_length=40))", []),
    "text": ("AlterField('order', 'short', TextField())", []),
    "no_text": ("AlterField('order', 'short', CharField(max_length=40))", [REWRITTEN]),
    "digits": ("AlterField('order', 'price', DecimalField(max_digits=12, decimal_places=2))", []),
    "scale": ("AlterField('order', 'price', DecimalField(max_digits=14, decimal_places=3))", [REWRITTEN]),
    "shorter": ("AlterField('order', 'long', CharField(max_length=10))", [REWRITTEN]),
    "integer": ("AlterField('order', 'number', IntegerField())", [REWRITTEN]),
    "small": ("AlterField('order', 'number', SmallIntegerField())", [REWRITTEN]),
    "big": ("AlterField('order', 'number', BigIntegerField())", [REWRITTEN]),
    "random": (FILL("ALTER TABLE xshop_order ADD u uuid DEFAULT gen_random_uuid()"), [REWRITTEN]),
    "twice": (
        f"{FILL('alter table xshop_order add v uuid default gen_random_uuid()')},"
        f"{FILL('alter table xshop_order alter v type text')}",
        [lock(ALL, "rewritten", "rewritten", BTREE, BTREE)],
    ),
    "cluster": (FILL("/**/ cluster xshop_order using xshop_order_pkey"), [REWRITTEN]),
    "truncate": (FILL("TRUNCATE xshop_order CASCADE"), []),
    "truncate_without_index": (FILL("create table flat (a int)"), []),
    "empty_flat": (FILL("/* ALTER TABLE */ truncate flat"), []),
    "rewrite_flat": (
        FILL("alter table flat alter a type bigint /* TRUNCATE */"),
        [lock(ALL, "rewritten", table="flat")],
    ),
    "vacuum_full": (FILL("vacuum full xshop_order"), [REWRITTEN], APART),
    "vacuum": (FILL("vacuum xshop_order"), [], APART),
    "reindex": (FILL("reindex table xshop_order"), [lock(ALL, BTREE)]),
    "reindex_apart": (FILL("reindex table xshop_order"), [lock(ALL, BTREE)], APART),
    "reindex_index": (FILL("reindex index xshop_order_pkey"), [lock(ALL, BTREE)]),
    "reindex_slowly": (FILL("reindex table concurrently xshop_order"), [], APART),
    "not_null": ("AlterField('order', 'free', TextField())", [SCANNED]),
    "unique": ("AddConstraint('order', UniqueConstraint(fields=['id'], name='u'))", [lock(ALL, BTREE)]),
    "check": ("AddConstraint('order', CheckConstraint(condition=Q(number__gte=0), name='c'))", [SCANNED]),
    "check_in_text": (
        FILL("CREATE TABLE made (a int);\n-- it\nalter table xshop_order add check (number >= 0)"),
        [SCANNED],
    ),
    "check_new": (
        "AddField('order', 'o', IntegerField(null=True)), AddConstraint('order', CheckConstraint("
        "condition=Q(o__gte=0), name='p')), CreateModel('Own', [('id', AutoField(primary_key=True))]),"
        "AddConstraint('own', CheckConstraint(condition=Q(id__gte=0), name='q'))",
        [SCANNED],
    ),
    "not_valid": (FILL("ALTER TABLE xshop_order ADD CONSTRAINT v CHECK (number > 0) NOT VALID"), []),
    "valid": (FILL("ALTER TABLE xshop_order VALIDATE CONSTRAINT v"), []),
    "valid_meanwhile": (
        f"{FILL('ALTER TABLE xshop_order ADD CONSTRAINT w CHECK (number > 0) NOT VALID')}, {LOCKED}"
        f"{FILL('ALTER TABLE xshop_order VALIDATE CONSTRAINT w')}",
        [lock(ALL, "scanned", table=LINE, of=ORDER), SCANNED],
    ),
    "domain": (FILL("CREATE DOMAIN few AS int; ALTER TABLE xshop_order ADD few few"), []),
    "domain_checked": (FILL("ALTER DOMAIN few ADD CHECK (VALUE < 9)"), [lock(WRITERS, "scanned")]),
    "foreign": (
        "AddField('order', 'line', ForeignKey('xshop.Line', CASCADE, null=True))",
        [lock(WRITERS, BTREE, table=LINE, of=ORDER), lock(ALL, BTREE)],
    ),
    "foreign_checked": (
        FILL("ALTER TABLE xshop_order ADD CONSTRAINT f FOREIGN KEY (line_id) REFERENCES xshop_line"),
        [
            lock(WRITERS, "scanned", table=LINE, of=ORDER, **{LINE: ["scanned"]}),
            lock(WRITERS, "scanned", **{LINE: ["scanned"]}),
        ],
    ),
    "foreign_later": (
        FILL("ALTER TABLE xshop_order ADD CONSTRAINT g FOREIGN KEY (line_id) REFERENCES xshop_line NOT VALID"),
        [],
    ),
    "plain_index": (INDEX("free"), [INDEXED]),
    "index_apart": (INDEX("number"), [INDEXED], APART),
    "two_indexes": (INDEX("price") + INDEX("short"), [lock(WRITERS, BTREE, BTREE)]),
    "two_apart": (INDEX("long") + INDEX("id"), [INDEXED], APART),
    "trigrams": (INDEX_BY("gin (free gin_trgm_ops)"), [lock(WRITERS, GIN)]),
    "words": (INDEX_BY("gin (to_tsvector('simple', free))"), [lock(WRITERS, WORDS)]),
    "exclusion": (
        FILL("alter table xshop_order add constraint z exclude using gist (during with &&)"),
        [lock(ALL, EXCLUDE, "scanned")],
    ),
    "truncate_exclusion": (FILL("truncate xshop_order"), []),
    "same_index": (
        FILL("alter table xshop_order alter short type varchar(50); alter table xshop_order alter long type text"),
        [],
    ),
    "concurrently": ("AddIndexConcurrently('order', Index(fields=['free'], name='k'))", [], APART),
    "nullable": ("AddField('order', 'a', TextField(null=True))", []),
    "default": ("AddField('order', 'b', TextField(db_default=''))", []),
    "now": ("AddField('order', 'c', DateTimeField(db_default=Now()))", []),
    "update_all": (UPDATE, [UPDATED]),
    "update_apart": (UPDATE, [UPDATED], APART),
    "insert": (f"AddField('line', 'l', TextField(null=True)), {CREATE}", []),
    "update_block": (FILL("do $$ begin update xshop_order set number = number; end $$"), [UPDATED]),
    "rule": (FILL("create rule r as on delete to xshop_line do also delete from xshop_order"), []),
    "function": (FILL("create function f() returns void begin atomic delete from xshop_order; end"), []),
    "commits": (FILL("DO $$ BEGIN UPDATE xshop_order SET number = number; COMMIT; END $$"), [], APART),
    "commits_file": (
        FILL("do $$ begin alter table flat alter a type int; commit; create index flat_a on flat (a); end $$"),
        [lock(ALL, "rewritten", BTREE, table="flat")],
        APART,
    ),
    "commits_index": (
        FILL("begin; create index flat_b on flat (a); commit"),
        [lock(WRITERS, BTREE, table="flat")],
        APART,
    ),
    "by_hand": (
        "RunSQL(['begin', 'SAVEPOINT a', 'UPDATE xshop_order SET number = number', 'ROLLBACK TO SAVEPOINT a',"
        " 'COMMIT', 'START TRANSACTION', 'LOCK flat', 'UPDATE xshop_line SET note = note', '/**/ commit'])",
        [lock(ALL, ROWS, table="flat", of=LINE), SAVED, UPDATED],
        APART,
    ),
    "caught": ("RunPython(caught)", []),
    "undone": (f"{PYTHON('undone(editor)')}, {CHECKED}", [lock(ALL, "rewritten", BTREE, "scanned", table=LINE)]),
    "undone_apart": (
        f"{PYTHON('undone(editor)')}, {CHECKED}",
        [lock(ALL, "rewritten", BTREE, "scanned", table=LINE)],
        APART,
    ),
    "recorder": (PYTHON("migrations.recorder.MigrationRecorder(editor.connection).applied_migrations()"), []),
    "object": (
        PYTHON("editor.connection.cursor().execute(__import__('psycopg2.sql').sql.SQL('table xshop_order'))"),
        [UPDATED],
    ),
    "reversible": ("RunSQL('ALTER TABLE xshop_order ADD g int', 'ALTER TABLE xshop_order DROP COLUMN g')", []),
    "copies": (SAVE, [SAVED]),
    "new_table": (
        "CreateModel('New', [('id', AutoField(primary_key=True)), ('order', ForeignKey('xshop.Order', CASCADE))])",
        [],
    ),
    "stays_locked": (f"AddField('order', 'd', TextField(null=True)), {SAVE}", [SAVED, lock(ALL, ROWS, of=LINE)]),
    "iterator": (f"AddField('order', 'i', TextField(null=True)), {ITERATE}", [SAVED, lock(ALL, ROWS, of=LINE)]),
    "state": (
        f"AddField('order', 'e', TextField(null=True)), SeparateDatabaseAndState([{SAVE}])",
        [SAVED, lock(ALL, ROWS, of=LINE)],
    ),
    "update_again": (f"{UPDATE}, AddField('line', 'f', TextField(null=True)), {UPDATE}", [OTHER, UPDATED]),
    "sum": (
        f"{LOCKED} {FILL('UPDATE xshop_line SET note = (SELECT count(*) FROM xshop_order)')}",
        [lock(ALL, ROWS, table=LINE, **{ORDER: ["read"]})],
    ),
    "copied": (
        f"{LOCKED} CreateModel('Word', [('id', AutoField(primary_key=True))]),"
        f"{FILL('insert into xshop_word select number from xshop_order')}",
        [READING],
    ),
    "table_as": (f"{LOCKED} {FILL('create table v as table xshop_order')}", [READING]),
    "table_like": (f"{LOCKED} {FILL('CREATE TABLE w (LIKE xshop_line INCLUDING ALL)')}", []),
    "copied_later": (
        f"{LOCKED} RunSQL(['create table f2 (like flat)', 'insert into f2 select * from flat'])",
        [lock(ALL, "read", table=LINE, of="flat")],
    ),
    "counted": (f"{LOCKED} {FILL('insert into xshop_line (note) select count(*) from xshop_order')}", [READING]),
    "joined": (
        f"{LOCKED} {FILL('select 1 from flat join xshop_order on id = flat.a')}",
        [lock(SAME, ROWS, table="flat"), lock(ALL, ROWS, table=LINE, of="flat", **{ORDER: [ROWS]}), UPDATED],
    ),
    "view": (f"{LOCKED} {FILL('/* INSERT */ CREATE VIEW x AS SELECT id FROM xshop_order')}", []),
    "query": (f"{LOCKED} {FILL('with one as (select * from xshop_order) select * from one')}", [OTHER, UPDATED]),
    "loops": (f"{LOCKED} {FILL(LOOP(''))}", [OTHER, UPDATED]),
    "loops_itself": (FILL(LOOP("alter table xshop_line add b int;")), [OTHER, UPDATED]),
    "type_first": (f"{FILL('CREATE TYPE mood AS ENUM ()')}, {FILL('table xshop_order')}", [UPDATED]),
    "reads": (FILL("UPDATE xshop_line SET note = (SELECT count(*) FROM xshop_order)"), [SAVED]),
    "materialized": (FILL("CREATE MATERIALIZED VIEW m AS SELECT id FROM xshop_order"), []),
    "refresh": (
        FILL("refresh materialized view m"),
        [lock(ALL, "rewritten", table="m", **{ORDER: ["read"]})],
    ),
    "partitions": (
        FILL("CREATE TABLE part (n int) PARTITION BY RANGE (n);CREATE TABLE part1 PARTITION OF part DEFAULT"),
        [],
    ),
    "partitioned": (
        FILL("CREATE INDEX part2 ON part (n)"),
        [lock(WRITERS, BTREE, table="part", of="part1"), lock(WRITERS, BTREE, table="part1")],
    ),
    "weaker_again": (
        "RunSQL(['CREATE INDEX v1 ON flat (a)', 'ALTER TABLE flat ADD v uuid DEFAULT"
        " gen_random_uuid()', 'CREATE INDEX v2 ON flat (a)'], '')",
        [lock(ALL, "rewritten", BTREE, BTREE, BTREE, table="flat")],
        APART,
    ),
    "python_runs": (f"{LOCKED} RunPython(lambda apps, schema_editor: None, RunPython.noop)", []),
    "block_runs": (f"{LOCKED} {FILL('/* it */ do $$ begin end $$')}", []),
    "nothing_runs": (f"{LOCKED} RunPython(RunPython.noop, RunPython.noop)", []),
    "comment_runs": (f"{LOCKED} {FILL('SELECT 1 /* DO it */')}", []),
    "runs_first": (f"RunPython(lambda apps, schema_editor: None, RunPython.noop), {LOCKED}", []),
    "update_first": (f"{UPDATE}, AddField('order', 'h', TextField(null=True))", [UPDATED]),
}


def written(folder):
    """Write a project with these migrations."""
    project, before = copy(folder, "xshop"), []
    for name, (operations, _, *more) in {"0001": (NEW, []), **CASES}.items():
        add(project, f"xshop.{name}", operations, *before, more="".join(more))
        before = [f"xshop.{name}"]
    return project


@pytest.fixture(scope="module")
def judged(tmp_path_factory, postgres):
    project = written(tmp_path_factory.mktemp("locks") / "a project")
    done = verdicts(project, url=postgres.url(postgres.database(migrated=False)))
    assert (done.returncode, done.stderr) == (0, "")
    return in_build(project)["vendors"]["postgresql"]["migrations"]


def test_a_table_that_stays_locked_while_code_runs(judged):
    """On an empty table nobody sees how long Python or a DO block takes."""
    told = {name for name in CASES if STAYS.format(LINE, name) in judged[f"xshop.{name}"].get("warnings", ())}
    assert told == {"insert", "python_runs", "block_runs", "loops"}


@pytest.mark.parametrize("name", CASES)
def test_whom_a_migration_locks(judged, name):
    assert judged[f"xshop.{name}"].get("locks", []) == CASES[name][1]
