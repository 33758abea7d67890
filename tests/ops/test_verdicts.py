"""The verdicts of slipway/schema/verdicts.py on migrations, for each database. Errors in new apps' migrations are
harmless if they concern only tables of these apps."""

import os
import re
import sys

import pytest
from django.db.migrations import (
    AddField,
    AlterField,
    AlterModelTable,
    CreateModel,
    DeleteModel,
    Migration,
    RemoveField,
    RenameField,
    RenameModel,
)
from django.db.migrations.state import ProjectState
from django.db.models import CharField, TextField

from ops.judging import add, copy, in_build, verdicts
from proc import output, put
from slipway.schema.operations import breaking_changes
from slipway.schema.verdicts import FAILED

MIGRATIONS = {
    "0001_initial": 'CreateModel("Item", [("id", BigAutoField(primary_key=True)), ("name", TextField()),'
    ' ("place", TextField()), ("code", CharField(max_length=9))],'
    ' options={"unique_together": {("name", "place")}})',
    "0002_count": 'AddField("item", "count", IntegerField(db_default=0))',
    "0003_note": 'AddField("item", "note", TextField(default="")), AddField("item", "free", TextField(null=True))',
    "0004_not_unique": 'AlterUniqueTogether("item", set())',
    "0005_no_place": 'RemoveField("item", "place")',
    "0006_wider": 'AlterField("item", "code", CharField(max_length=20))',
    "0007_unique": 'AlterField("item", "code", CharField(max_length=40, unique=True))',
    "0008_other": 'AlterField("item", "code", CharField(max_length=50, unique=True, db_column="kode"))',
}
LESS = "SeparateDatabaseAndState([], [RemoveField('item', '{}')])".format
DROPPED = {  # new app → its second and third migration, and if the third is harmless once a release has the second
    "zcolumn": (LESS("name"), "RunSQL('ALTER TABLE zcolumn_item DROP COLUMN IF EXISTS name', '')", True),
    "ztable": (
        "SeparateDatabaseAndState([], [DeleteModel('Item')])",
        "RunSQL('DROP TABLE ztable_item CASCADE', '')",
        True,
    ),
    "zother": (
        "SeparateDatabaseAndState([], [RenameField('item', 'place', 'site'), RemoveField('item', 'site'),"
        " RemoveField('item', 'name')])",
        "RunSQL('ALTER TABLE zother_item DROP name, DROP COLUMN place', '')",
        False,
    ),
    "zmore": (
        LESS("name"),
        "RunSQL('ALTER TABLE zmore_item DROP COLUMN name', ''), AlterField('item', 'code', CharField(max_length=2))",
        False,
    ),
    "zold": ("RunSQL('SELECT 1', '')", "RunSQL('ALTER TABLE zold_item DROP COLUMN name', '')", False),
}
FIELDS = '[("id", BigAutoField(primary_key=True)), ("name", TextField()), ("note", TextField())]'


def create(name, **options):
    return f'CreateModel("{name}", {FIELDS}, {options})'


OWN = 'RemoveField("thing", "note")'
OF_OLD = 'RemoveField("old", "note")'
OLD = 'SeparateDatabaseAndState([RunSQL(\'ALTER TABLE "OLD_TABLE" DROP COLUMN "name"\')])'
STATE = f"SeparateDatabaseAndState([], [{create('Old', db_table='OLD_TABLE')}])"
UNMANAGED = create("Old", db_table="OLD_TABLE", managed=False)
MANAGED = 'AlterModelOptions("old", {"managed": True})'
APART = "    atomic = False\n"
PYTHON = "RunPython(lambda apps, schema_editor: {})".format
# New app → (operations of its second migration, the migrations that created the models of its errors; none if one is
# unknown). OLD_TABLE is an older app's table, APP_thing the new app's own.
BRINGS = {
    "xown": (OWN, {"0001"}),
    "xmodel": ('RenameModel("Thing", "Matter"), RemoveField("matter", "note")', {"0001"}),
    "xfilled": (f"{PYTHON(1)}, {OWN}", {"0001"}),
    "xagain": (f"DeleteModel('thing'), {create('Thing')}, {OWN}", {"0001", "0002"}),
    "xboth": (f"{OWN}, {OLD}", set()),
    "xstate": (f"{STATE}, {OF_OLD}", set()),
    "xunmanaged": (f"{UNMANAGED}, {MANAGED}, {OF_OLD}", set()),
    "xmoved": (f'{STATE}, AlterModelTable("old", "xmoved_old")', set()),
    "xpython": (f"{PYTHON('1 or Thing.objects')}, {OWN}", set()),
    "xsql": ('RunSQL(\'ALTER TABLE "xsql_thing" DROP COLUMN "note"\')', set()),
}
HALF = (
    "RunPython(lambda apps, schema_editor: schema_editor.execute('ALTER TABLE yhalf_item DROP COLUMN name') or 1/0,"
    "RunPython.noop), RunPython(lambda apps, schema_editor: apps.get_model('yhalf', 'Item')._base_manager.first()"
    " or schema_editor.execute('ALTER TABLE yhalf_item ADD CONSTRAINT y UNIQUE (code)'), RunPython.noop)"
)
UNSET, DROP = 'AlterUniqueTogether("item", set())', 'RemoveField("item", "place")'
KEEPS = 'state_operations=[AlterUniqueTogether("item", {("name", "place")})]'
ALONE = {  # new app → operations of its second migration, and how its messages on Postgres begin
    "yfield": (f'RenameField("item", "name", "title"), {UNSET}', ["RENAMING columns"]),
    "ymodel": (f'RenameModel("Item", "Part"), {UNSET.replace("item", "part")}', ["RENAMING tables"]),
    "ytable": (f'AlterModelTable("item", "parts"), {UNSET}', ["RENAMING tables"]),
    "yagain": (f'{UNSET}, AlterUniqueTogether("item", {{("name",)}}), {UNSET}', ["ADDING unique"]),
    "ysql": (
        f"{UNSET}, RunSQL('ALTER TABLE ysql_item ADD CONSTRAINT u UNIQUE (name, place)', '', {KEEPS}),{UNSET}",
        ["ADDING unique"] * 2,
    ),
    "yreplica": (
        "RunPython(lambda apps, schema_editor: apps.get_model('yreplica', 'Item')._base_manager.using('other')"
        ".first(), RunPython.noop)",
        [],
    ),
    "yeditor": (
        "RunPython(lambda apps, schema_editor: schema_editor.execute('ALTER TABLE yeditor_item DROP COLUMN"
        " name', []), RunPython.noop)",
        ["DROPPING columns"],
    ),
    "ywrong": (f'RunSQL("SELECT nothing FROM nowhere", ""), {DROP}', ["FAILED", "DROPPING columns"]),
    "yzero": (f"RunPython(lambda apps, schema_editor: 1 / 0, RunPython.noop), {DROP}", ["FAILED", "DROPPING columns"]),
    "yhalf": (HALF, ["FAILED", "DROPPING columns", "ADDING unique"]),
    "ycommit": (
        'RunSQL("CREATE TABLE y (n int REFERENCES ycommit_item DEFERRABLE INITIALLY DEFERRED);'
        ' INSERT INTO y VALUES (1)", "")',
        ["FAILED"],
    ),
    "ydies": (
        'RunPython(lambda apps, schema_editor: schema_editor.execute("SELECT pg_terminate_backend('
        'pg_backend_pid())"), RunPython.noop)',
        ["FAILED"],
    ),
    "ybegin": ('RunSQL(["BEGIN", "SELECT nothing FROM nowhere", "COMMIT"], "")', ["FAILED"]),
    "yno": ('IgnoreMigration(), RunSQL("SELECT nothing FROM nowhere", "")', []),
}
FAILS = {app for app, (_, starts) in ALONE.items() if "FAILED" in starts}
NAMED = re.compile("^no verdict for .* on (.*).0002: .*", re.MULTILINE)


@pytest.fixture(scope="module")
def judging(tmp_path_factory, postgres):
    """Return {vendor: {name: verdict}} of a project with all these apps."""
    folder = tmp_path_factory.mktemp("new") / "a project"
    project = copy(folder, "xshop", "xold", "xsquashed", "xacross", *BRINGS, *ALONE, *DROPPED)
    put(
        project / "project/settings_test.py",
        f"{(project / 'project/settings_test.py').read_text()}\n"
        'DATABASES["other"] = {**DATABASES["default"], "NAME": "a replica"}\n',
    )
    for before, name in zip([None, *MIGRATIONS], MIGRATIONS, strict=False):
        add(project, f"xshop.{name}", MIGRATIONS[name], *([f"xshop.{before}"] if before else []))
    add(project, "xold.0001", ", ".join(create(app) for app in BRINGS))
    for app, (operations, _) in BRINGS.items():
        add(project, f"{app}.0001", create("Thing"))
        add(project, f"{app}.0002", operations.replace("OLD_TABLE", f"xold_{app}"), f"{app}.0001", "xold.0001")
    for app, (operations, _) in ALONE.items():
        add(project, f"{app}.0001", MIGRATIONS["0001_initial"])
        add(project, f"{app}.0002", operations, f"{app}.0001", more=APART if app == "ybegin" else "")
    for app, (state, dropped, _) in DROPPED.items():
        for before, number, operations in zip(
            ["", "0001", "0002"], ("0001", "0002", "0003"), (MIGRATIONS["0001_initial"], state, dropped), strict=False
        ):
            add(project, f"{app}.{number}", operations, *([f"{app}.{before}"] if before else []))
    less = 'RemoveField("thing", "name")'
    add(project, "xsquashed.0001", create("Thing"))
    add(project, "xsquashed.0002", OWN, "xsquashed.0001")
    replaces = '    replaces = [("xsquashed", "0001"), ("xsquashed", "0002")]\n'
    add(project, "xsquashed.0001_0002", create("Thing"), more=replaces)
    add(project, "xsquashed.0003", less, "xsquashed.0001_0002")
    add(project, "xacross.0001", create("Thing").replace("TextField()", "TextField(null=True)"))
    altered = 'AlterField("thing", "note", CharField(null=True, max_length=9))'
    add(project, "xacross.0002", f"{altered}, {create('Matter')}, {less}", "xacross.0001")
    database = postgres.url(postgres.database(migrated=False))
    for url in ("sqlite://:memory:", database, database):  # again, because what the database holds must not matter
        done = verdicts(project, url=url)
        assert done.returncode == 0 and {*NAMED.findall(done.stderr)} >= FAILS, done.stderr
    return in_build(project)["vendors"]


def test_each_database_has_verdicts_of_its_own(judging):
    """On Postgres, old code can omit a column with db_default; SQLite copies the table instead. An error's message has
    the cure. A constraint whose name only the database knows is no error."""
    wrong = {
        vendor: {name[6:10] for name in entries if name.startswith("xshop.") and entries[name]["verdict"] == "error"}
        for vendor, entries in judging.items()
    }
    assert wrong == {"sqlite": {"0002", "0003", "0005", "0007", "0008"}, "postgresql": {"0003", "0005", "0007", "0008"}}
    judged = judging["postgresql"]
    assert re.search(r" \(item\.note\): .*db_default", judged["xshop.0003_note"]["messages"][0])
    assert "item.count" not in judging["sqlite"]["xshop.0002_count"]["messages"][0], "it has a default of the database"
    assert "DROPPING columns (xshop_item.place): in two releases" in judged["xshop.0005_no_place"]["messages"][0]
    assert {"auth.0001_initial", "sessions.0001_initial"} < judged.keys(), "a deploy asks for Django's own too"


def test_the_makers_of_the_tables_of_errors_are_told(judging):
    """`since` names them only if the models of every error and their makers are known. A migration that a squashed one
    replaces is judged as others are. Errors of several operations at once have no `since`: SQLite copies one to alter
    it, and another has NOT NULL."""
    for vendor, entries in judging.items():
        for app, (_, makers) in BRINGS.items():
            entry = entries[f"{app}.0002"]
            assert entry["verdict"] == "error", (vendor, app, entry)
            assert entry.get("since", []) == sorted(f"{app}.{maker}" for maker in makers), (vendor, app, entry)
        assert all("since" not in entry for entry in entries.values() if entry["verdict"] != "error")
        assert entries["xsquashed.0003"]["since"] == ["xsquashed.0001_0002"]
        assert entries["xsquashed.0002"]["since"] == ["xsquashed.0001"]
    assert judging["postgresql"]["xacross.0002"]["since"] == ["xacross.0001"]
    assert "since" not in judging["sqlite"]["xacross.0002"] and judging["sqlite"]["xacross.0002"]["verdict"] == "error"


@pytest.mark.parametrize("app", ALONE)
def test_a_migration_is_judged_by_what_the_build_executes(judging, app):
    """Its SQL is what Django executes when all earlier operations are applied. A replica is the same database. What
    fails is an error of this migration alone, beside those of its other operations; one that the team lets pass is
    none."""
    entry = judging["postgresql"][f"{app}.0002"]
    starts = [start.replace("FAILED", FAILED) for start in ALONE[app][1]]
    assert len(entry["messages"]) == len(starts), entry
    assert all(map(str.startswith, entry["messages"], starts)), entry
    assert entry["verdict"] == ("error" if starts else "ignored" if app == "yno" else "ok"), entry
    assert f"{app}.0002" in judging["sqlite"]


def test_what_no_model_has_since_an_earlier_release(judging):
    """Its drop is no error for a release with the migration that took it from the models: this must be of all that is
    dropped, and no other error may stand beside it."""
    for app, (_, _, harmless) in DROPPED.items():
        entry = judging["postgresql"][f"{app}.0003"]
        assert entry["verdict"] == "error" and entry.get("unused") == ([f"{app}.0002"] if harmless else None), entry
        assert (f"no harm once a release with {app}.0002 is live" in entry["messages"]) is harmless
        assert judging["postgresql"][f"{app}.0002"]["verdict"] == "ok"


ITEM = CreateModel("Item", [("code", TextField(null=True)), ("name", CharField(max_length=9))])
NOTE, NAME = AddField("item", "note", CharField(max_length=9, blank=True)), CharField(max_length=9, db_column="name")


@pytest.mark.parametrize(
    "operations, message",
    [
        ([NOTE], "Add field note to item: give it db_default"),
        ([RemoveField("item", "name")], "Remove field name from"),
        ([AlterField("item", "code", TextField())], "Alter field code on item: give it db_default"),
        ([RenameField("item", "name", "title")], "Rename field name on item to title: keep the column"),
        ([RenameModel("Item", "Part")], "Rename model Item to Part: keep the table"),
        ([DeleteModel("Item")], "Delete mo"),
        ([AddField("item", "note", CharField(max_length=9, db_default=""))], ""),
        ([CreateModel("New", []), AddField("new", "note", TextField())], ""),
        ([AlterField("item", "name", CharField(max_length=99))], ""),
        ([AlterField("item", "name", NAME), RenameField("item", "name", "title")], ""),
        ([AlterModelTable("item", "shop_item"), RenameModel("Item", "Part")], ""),
    ],
)
def test_what_operations_tell(operations, message):
    """Without a database they tell at what old code fails. A name that changes in the models alone is none of it, nor
    is a table that is new."""
    state, migration = ProjectState(), Migration("0002", "shop")
    ITEM.state_forwards("shop", state)
    migration.operations = operations
    lines = [*breaking_changes(migration, state)]
    assert len(lines) == bool(message) and all(line.startswith(message) for line in lines), lines


def test_makemigrations_tells_it(tmp_path):
    project = copy(tmp_path / "a project", "xshop")
    add(project, "xshop.0001", 'CreateModel("Item", [("id", BigAutoField(primary_key=True))])')
    put(
        project / "xshop/models.py",
        "from django.db import models\n\n\nclass Item(models.Model):\n"
        "    note = models.CharField(max_length=9, blank=True)\n",
    )
    command = [sys.executable, "-m", "django", "makemigrations", "xshop", "--no-input"]
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings_test"}
    shown, done = (output([*command, *words], cwd=project, env=env) for words in (["--dry-run"], []))
    assert "would fail" not in shown
    assert re.search("^xshop.0002_.*: if a release with this table is live, it would fail: Add field note", done, re.M)


def test_a_database_without_verdicts(tmp_path, postgres):
    """If migrations cannot even be read, that is reported and fails no build."""
    project = copy(tmp_path / "a project", "xshop")
    add(project, "xshop.0001_wrong", "", "xshop.0000")
    done = verdicts(project, url=postgres.url(postgres.database(migrated=False)))
    assert done.returncode == 0 and done.stderr.startswith("no verdicts for postgresql: NodeNotFoundError")
    assert in_build(project)["failed"].keys() == {"postgresql"} and not in_build(project)["vendors"]
