"""What slipway/schema/verdicts.py notes of migrations for each database, judged by what a release uses."""

import os
import re
import subprocess

import pytest

from ops.judging import add, copy, in_build, judged, verdicts
from postgresql import POSTGRES_USER
from proc import output, put
from slipway.schema.executor import FAILED
from slipway.schema.routers import UNJUDGED

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
DROPPED = {  # new app → its second and third migration, and the third's errors for a release that has the second
    "zcolumn": (LESS("name"), "RunSQL('ALTER TABLE zcolumn_item DROP IF EXISTS name', '')", []),
    "ztable": ("SeparateDatabaseAndState([], [DeleteModel('Item')])", "RunSQL('drop table ztable_item', '')", []),
    "zother": (
        "SeparateDatabaseAndState([], [RenameField('item', 'place', 'site'), RemoveField('item', 'site'),"
        " RemoveField('item', 'name')])",
        "RunSQL('ALTER TABLE zother_item DROP name, DROP COLUMN place', '')",
        [],
    ),
    "zmore": (
        LESS("name"),
        "RunSQL('ALTER TABLE zmore_item DROP name', ''), AlterField('item', 'code', CharField(max_length=2))",
        ["column zmore_item.code is character varying(2) now"],
    ),
    "zold": (
        "RunSQL('SELECT 1', '')",
        "RunSQL('ALTER TABLE zold_item DROP COLUMN name', '')",
        ["column zold_item.name is gone"],
    ),
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
# New app → operations of its second migration, and if they are harmless for a release that lacks the app. OLD_TABLE is
# an older app's table, APP_thing the new app's own.
BRINGS = {
    "xown": (OWN, True),
    "xmodel": ('RenameModel("Thing", "Matter"), RemoveField("matter", "note")', True),
    "xfilled": (f"{PYTHON(1)}, {OWN}", True),
    "xagain": (f"DeleteModel('thing'), {create('Thing')}, {OWN}", True),
    "xboth": (f"{OWN}, {OLD}", False),
    "xstate": (f"{STATE}, {OF_OLD}", False),
    "xunmanaged": (f"{UNMANAGED}, {MANAGED}, {OF_OLD}", False),
    "xmoved": (f'{STATE}, AlterModelTable("old", "xmoved_old")', False),
    "xpython": (f"{PYTHON('1 or Thing.objects')}, {OWN}", True),
    "xsql": ('RunSQL(\'ALTER TABLE "xsql_thing" DROP COLUMN "note"\')', True),
}
HALF = (
    "RunPython(lambda apps, schema_editor: schema_editor.execute('ALTER TABLE yhalf_item DROP COLUMN name') or 1/0,"
    "RunPython.noop), RunPython(lambda apps, schema_editor: apps.get_model('yhalf', 'Item')._base_manager.first()"
    " or schema_editor.execute('ALTER TABLE yhalf_item ADD CONSTRAINT y UNIQUE (code)'), RunPython.noop)"
)
UNSET, DROP = 'AlterUniqueTogether("item", set())', 'RemoveField("item", "place")'
KEEPS = 'state_operations=[AlterUniqueTogether("item", {("name", "place")})]'
GONE, NO_SECOND = "column {}_item.{} is gone".format, "table {}_item takes no second row of the same ({})".format
ALONE = {  # new app → operations of its second migration, and how its errors on Postgres begin
    "yfield": (f'RenameField("item", "name", "title"), {UNSET}', ["column yfield_item.name is now title"]),
    "ymodel": (f'RenameModel("Item", "Part"), {UNSET.replace("item", "part")}', ["table ymodel_item is now ymodel_pa"]),
    "ytable": (f'AlterModelTable("item", "parts"), {UNSET}', ["table ytable_item is now parts"]),
    "yagain": (f'{UNSET}, AlterUniqueTogether("item", {{("name",)}}), {UNSET}', []),
    "yunique": (f'{UNSET}, AlterUniqueTogether("item", {{("name",)}})', [NO_SECOND("yunique", "name")]),
    "ysql": (
        f"{UNSET}, RunSQL('ALTER TABLE ysql_item ADD UNIQUE (name, place)', '', {KEEPS}), {UNSET}",
        [],
    ),
    "yreplica": (
        "RunPython(lambda apps, schema_editor: apps.get_model('yreplica', 'Item')._base_manager.using('other')"
        ".first(), RunPython.noop)",
        [],
    ),
    "yeditor": (
        "RunPython(lambda apps, schema_editor: schema_editor.execute('ALTER TABLE yeditor_item DROP"
        " name', []), RunPython.noop)",
        [GONE("yeditor", "name")],
    ),
    "ywrong": (f'RunSQL("SELECT nothing FROM nowhere", ""), {DROP}', ["FAILED", GONE("ywrong", "place")]),
    "yzero": (f"RunPython(lambda apps, editor: 1 / 0, RunPython.noop), {DROP}", ["FAILED", GONE("yzero", "place")]),
    "yhalf": (HALF, ["FAILED", NO_SECOND("yhalf", "code")]),
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
    "yrouter": (f"{DROP}, RunSQL('SELECT 1', '')", []),
}
ROUTER = """class Router:
    def db_for_write(self, model, **hints):
        if model._meta.app_label == "sessions":
            return "other"
        if model._meta.db_table == "axes_accesslog":
            raise LookupError("which tenant?")

    def allow_migrate(self, db, app_label, model_name=None, **hints):
        return False if app_label == "yrouter" else None
"""
FAILS = {app for app, (_, starts) in ALONE.items() if "FAILED" in starts}
NAMED = re.compile("^no verdict for .* on (.*).0002: .*", re.MULTILINE)


@pytest.fixture(scope="module")
def judging(tmp_path_factory, postgres):
    """Return {vendor: {"migrations": {name: entry}, "uses": …}} of a project with all these apps."""
    folder = tmp_path_factory.mktemp("new") / "a project"
    project = copy(folder, "xshop", "xold", "xsquashed", "xacross", *BRINGS, *ALONE, *DROPPED)
    put(
        project / "project/settings_test.py",
        f"{(project / 'project/settings_test.py').read_text()}\n"
        'DATABASES["other"] = {**DATABASES["default"], "NAME": "a replica"}\n'
        'DATABASE_ROUTERS = ["project.keeping.Router"]\n',
    )
    put(project / "project/keeping.py", ROUTER)
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


def errors(judging, vendor, *names):
    return judged(judging[vendor], *names).errors


def test_each_database_has_entries_of_its_own(judging):
    """An error has the cure. SQLite has no length of a text."""
    found = {
        vendor: {name[6:10]: judged(noted, name) for name in noted["migrations"] if name.startswith("xshop.0")}
        for vendor, noted in judging.items()
    }
    for verdicts_ in found.values():
        assert {name for name, verdict in verdicts_.items() if verdict.errors} == {"0003", "0005", "0007", "0008"}
        [error] = verdicts_["0003"].errors
        assert error.startswith(
            "column xshop_item.note is new, NOT NULL and without a default in the database: give it"
        )
        assert "db_default" in error and "free" not in error
        assert verdicts_["0005"].errors[0].startswith("column xshop_item.place is gone: in two releases")
        assert verdicts_["0004"].warnings and not verdicts_["0002"].warnings
    assert found["postgresql"]["0008"].errors[0].startswith("column xshop_item.code is now kode: ")
    assert {"auth.0001_initial", "sessions.0001_initial"} < judging["postgresql"]["migrations"].keys(), (
        "Django's own too"
    )


def test_what_the_models_of_all_apps_use(judging):
    """Each database has types of its own. What a router writes to another database is none of it."""
    types = {vendor: noted["uses"]["accounts_user"]["username"]["type"] for vendor, noted in judging.items()}
    assert types == {"postgresql": "character varying(150)", "sqlite": "TEXT"}
    assert judging["postgresql"]["uses"]["accounts_user"]["id"] == {"type": "bigint", "left_out": True}
    assert judging["postgresql"]["uses"]["accounts_user"]["last_login"]["null"] is True
    uses = judging["sqlite"]["uses"].keys()
    assert {"accounts_user_groups", "slipway_blobs_blob", "axes_accesslog"} < uses and "django_session" not in uses


def test_what_only_a_new_app_uses_is_no_error(judging):
    """But it is for a release that has the app, and where an older app's table is another. A migration that a squashed
    one replaces is judged as others are."""
    for vendor in judging:
        for app, (_, harmless) in BRINGS.items():
            assert errors(judging, vendor, f"{app}.0002"), (vendor, app)
            assert bool(errors(judging, vendor, f"{app}.0001", f"{app}.0002")) is not harmless, (vendor, app)
        assert not errors(judging, vendor, "xsquashed.0001_0002", "xsquashed.0003")
        assert not errors(judging, vendor, "xsquashed.0001", "xsquashed.0002")
        assert errors(judging, vendor, "xsquashed.0002") and errors(judging, vendor, "xsquashed.0003")
        names = [*judging[vendor]["migrations"]]
        assert [name for name in names if name.startswith("xsquashed")] == [
            f"xsquashed.{number}" for number in ("0001", "0002", "0001_0002", "0003")
        ], "the order in which they are applied"


@pytest.mark.parametrize("app", ALONE)
def test_a_migration_is_judged_by_what_it_changed(judging, app):
    """A replica is the same database. What fails is an error of this migration alone, beside those of its other
    operations, and changes nothing. What a router keeps from the database is said."""
    entry, verdict = judging["postgresql"]["migrations"][f"{app}.0002"], judged(judging["postgresql"], f"{app}.0002")
    starts = [start.replace("FAILED", FAILED) for start in ALONE[app][1]]
    assert len(verdict.errors) == len(starts) and all(map(str.startswith, verdict.errors, starts)), verdict
    assert ("unjudged" in entry) is (app == "yrouter") and ("failed" in entry) is (FAILED in starts), entry
    assert f"{app}.0002" in judging["sqlite"]["migrations"]


def test_what_a_router_keeps_from_the_database_is_unjudged(judging):
    """Each of its migrations, on each kind of database: a model, and SQL."""
    for noted in judging.values():
        for number, names in (("0001", "yrouter.item"), ("0002", "yrouter, yrouter.item")):
            [warning] = judged(noted, f"yrouter.{number}").warnings
            assert warning == UNJUDGED.format(names)
        assert "unjudged" not in noted["migrations"]["yfield.0002"]


@pytest.mark.parametrize("app", DROPPED)
def test_what_the_first_of_two_releases_no_longer_uses_may_go(judging, app):
    """For a release without the first, it is an error."""
    names = [f"{app}.0002", f"{app}.0003"]
    starts = DROPPED[app][2]
    of_second = errors(judging, "postgresql", names[1])
    assert len(of_second) == len(starts) and all(map(str.startswith, of_second, starts)), of_second
    assert len(errors(judging, "postgresql", *names)) > (len(starts) if app != "zold" else 0)
    assert not errors(judging, "postgresql", names[0])


def test_a_database_without_verdicts(tmp_path, postgres):
    """If migrations cannot even be read, that is reported and fails no build."""
    project = copy(tmp_path / "a project", "xshop")
    add(project, "xshop.0001_wrong", "", "xshop.0000")
    done = verdicts(project, url=postgres.url(postgres.database(migrated=False)))
    assert done.returncode == 0 and done.stderr.startswith("no verdicts for postgresql: NodeNotFoundError")
    assert in_build(project)["failed"].keys() == {"postgresql"} and not in_build(project)["vendors"]


def test_what_a_killed_judge_left_is_dropped(tmp_path, postgres):
    """Its database, not that of one that runs."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    left, used = (postgres.create(f"verdicts_{pid}") for pid in (ended.pid, os.getpid()))
    project = copy(tmp_path / "a project", "xshop")
    assert verdicts(project, "nothing", url=postgres.url(postgres.database(migrated=False))).stderr == ""
    psql = [postgres.bin / "psql", "-qAth127.0.0.1", f"-p{postgres.port}", f"-U{POSTGRES_USER}", "postgres", "-c"]
    names = output([*psql, "SELECT datname FROM pg_database"]).split()
    output([*psql, f"DROP DATABASE {used}"])
    assert used in names and left not in names
