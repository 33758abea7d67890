"""The verdicts of slipway/schema/verdicts.py on migrations, for each database. Errors in new apps' migrations are
harmless if they concern only tables of these apps."""

import re

import pytest

from ops.judging import add, copy, found, verdicts

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
FIELDS = '[("id", BigAutoField(primary_key=True)), ("name", TextField()), ("note", TextField())]'


def create(name, **options):
    return f'CreateModel("{name}", {FIELDS}, {options})'


OWN = 'RemoveField("thing", "note")'
OF_OLD = 'RemoveField("old", "note")'
OLD = "SeparateDatabaseAndState([RunSQL('ALTER TABLE \"OLD_TABLE\" DROP COLUMN \"name\"')])"
STATE = f"SeparateDatabaseAndState([], [{create('Old', db_table='OLD_TABLE')}])"
UNMANAGED = create("Old", db_table="OLD_TABLE", managed=False)
MANAGED = 'AlterModelOptions("old", {"managed": True})'
PYTHON = "RunPython(lambda apps, schema_editor: %s)"
# New app → (operations of its second migration, the migrations that created the models of its errors; none if one is
# unknown). OLD_TABLE is an older app's table, APP_thing the new app's own.
BRINGS = {
    "xown": (OWN, {"0001"}),
    "xmodel": ('RenameModel("Thing", "Matter"), RemoveField("matter", "note")', {"0001"}),
    "xfilled": (f"{PYTHON % 1}, {OWN}", {"0001"}),
    "xagain": (f"DeleteModel('thing'), {create('Thing')}, {OWN}", {"0001", "0002"}),
    "xboth": (f"{OWN}, {OLD}", set()),
    "xstate": (f"{STATE}, {OF_OLD}", set()),
    "xunmanaged": (f"{UNMANAGED}, {MANAGED}, {OF_OLD}", set()),
    "xmoved": (f'{STATE}, AlterModelTable("old", "xmoved_old")', set()),
    "xpython": (f"{PYTHON % '1 or Thing.objects'}, {OWN}", set()),
    "xsql": ("RunSQL('ALTER TABLE \"xsql_thing\" DROP COLUMN \"note\"')", set()),
}


@pytest.fixture(scope="module")
def judging(tmp_path_factory, postgres):
    """Return {vendor: {name: verdict}} of a project with all these apps."""
    project = copy(tmp_path_factory.mktemp("new") / "a project", "xshop", "xold", "xsquashed", "xacross", *BRINGS)
    for before, name in zip([None, *MIGRATIONS], MIGRATIONS):
        add(project, f"xshop.{name}", MIGRATIONS[name], *[f"xshop.{before}"] * bool(before))
    add(project, "xold.0001", ", ".join(create(app) for app in BRINGS))
    for app, (operations, _) in BRINGS.items():
        add(project, f"{app}.0001", create("Thing"))
        add(project, f"{app}.0002", operations.replace("OLD_TABLE", f"xold_{app}"), f"{app}.0001", "xold.0001")
    less = 'RemoveField("thing", "name")'
    add(project, "xsquashed.0001", create("Thing"))
    add(project, "xsquashed.0002", OWN, "xsquashed.0001")
    replaces = '    replaces = [("xsquashed", "0001"), ("xsquashed", "0002")]\n'
    add(project, "xsquashed.0001_0002", create("Thing"), more=replaces)
    add(project, "xsquashed.0003", less, "xsquashed.0001_0002")
    add(project, "xacross.0001", create("Thing").replace("TextField()", "TextField(null=True)"))
    altered = 'AlterField("thing", "note", CharField(null=True, max_length=9))'
    add(project, "xacross.0002", f"{altered}, {create('Matter')}, {less}", "xacross.0001")
    url = postgres.url(postgres.database(migrated=False))
    for url in ("sqlite://:memory:", url, url):  # again, because what the database holds must not matter
        done = verdicts(project, url=url)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return found(project)["vendors"]


def test_each_database_has_verdicts_of_its_own(judging):
    """On Postgres, old code can omit a column with db_default; SQLite copies the table instead. An error's message has
    the cure. A constraint whose name only the database knows is no error."""
    wrong = {vendor: {name[6:10] for name in entries
                      if name.startswith("xshop.") and entries[name]["verdict"] == "error"}
             for vendor, entries in judging.items()}
    assert wrong == {"sqlite": {"0002", "0003", "0005", "0007", "0008"},
                     "postgresql": {"0003", "0005", "0007", "0008"}}
    judged = judging["postgresql"]
    assert re.search(r" \(item\.note\): .*db_default", judged["xshop.0003_note"]["messages"][0])
    assert "item.count" not in judging["sqlite"]["xshop.0002_count"]["messages"][0], "it has a default of the database"
    assert "DROPPING columns (xshop_item.place): in two releases" in judged["xshop.0005_no_place"]["messages"][0]
    assert {"auth.0001_initial", "sessions.0001_initial"} < judged.keys(), "a deploy asks for Django's own too"


def test_the_makers_of_the_tables_of_errors_are_told(judging):
    """`since` names them only if the models of every error and their makers are known. A migration that a squashed one
    replaces has no `since`. Errors of several operations at once have none either: SQLite copies one to alter it, and
    another has NOT NULL."""
    for vendor, entries in judging.items():
        for app, (_, makers) in BRINGS.items():
            entry = entries[f"{app}.0002"]
            assert entry["verdict"] == "error", (vendor, app, entry)
            assert entry.get("since", []) == sorted(f"{app}.{maker}" for maker in makers), (vendor, app, entry)
        assert all("since" not in entry for entry in entries.values() if entry["verdict"] != "error")
        assert entries["xsquashed.0003"]["since"] == ["xsquashed.0001_0002"]
        assert "since" not in entries["xsquashed.0002"]
    assert judging["postgresql"]["xacross.0002"]["since"] == ["xacross.0001"]
    assert "since" not in judging["sqlite"]["xacross.0002"] and judging["sqlite"]["xacross.0002"]["verdict"] == "error"


@pytest.mark.parametrize("operation", [
    'RunSQL("SELECT nothing FROM nowhere")', "RunPython(lambda *_: 1 / 0)",
    'RunPython(lambda _, editor: editor.execute("SELECT pg_terminate_backend(pg_backend_pid())"))'])
def test_a_database_without_verdicts(tmp_path, postgres, operation):
    """If the project works only on another database, or a connection breaks, that is reported and fails no build."""
    project = copy(tmp_path / "a project", "xshop")
    add(project, "xshop.0001_wrong", operation)
    done = verdicts(project, url=postgres.url(postgres.database(migrated=False)))
    assert done.returncode == 0 and done.stderr.startswith("no verdicts for postgresql: ")
    assert found(project)["failed"].keys() == {"postgresql"} and not found(project)["vendors"]
