"""Tests of slipway/schema/verdicts.py in a project with an app: its verdicts on migrations for each database, and their
reuse."""

import re

import pytest

from ops.judging import add, copy, found, verdicts
from proc import put

MIGRATIONS = {
    "0001_initial": 'migrations.CreateModel("Item", [("id", models.BigAutoField(primary_key=True)),'
                    ' ("name", models.TextField()), ("place", models.TextField())],'
                    ' options={"unique_together": {("name", "place")}})',
    "0002_count": 'migrations.AddField("item", "count", models.IntegerField(db_default=0))',
    "0003_note": 'migrations.AddField("item", "note", models.TextField(default="")),'
                 ' migrations.AddField("item", "free", models.TextField(null=True))',
    "0004_not_unique": 'migrations.AlterUniqueTogether("item", set())',
    "0005_no_place": 'migrations.RemoveField("item", "place")',
}


@pytest.fixture
def project(tmp_path):
    """Return a copy of the project with an app."""
    folder = copy(tmp_path / "a project", "xshop")
    before = []
    for name, operation in MIGRATIONS.items():
        add(folder, f"xshop.{name}", operation, *before)
        before = [f"xshop.{name}"]
    return folder


def test_each_database_has_verdicts_of_its_own(project, postgres):
    """On Postgres, old code can omit a column with db_default; SQLite copies the table instead. An error's message has
    the cure. A constraint whose name only the database knows is no error."""
    for url in ("sqlite://:memory:", postgres.url(postgres.database(migrated=False))):
        done = verdicts(project, url=url)
        assert (done.returncode, done.stderr) == (0, "")
    vendors = found(project)["vendors"]
    wrong = {vendor: {name[6:10] for name in entries
                      if name.startswith("xshop.") and entries[name]["verdict"] == "error"}
             for vendor, entries in vendors.items()}
    assert wrong == {"sqlite": {"0002", "0003", "0005"}, "postgresql": {"0003", "0005"}}
    assert not found(project)["failed"]
    judged = vendors["postgresql"]
    assert re.search(r" \(item\.note\): .*db_default", judged["xshop.0003_note"]["messages"][0])
    assert "item.count" not in vendors["sqlite"]["xshop.0002_count"]["messages"][0], "it has a default of the database"
    assert "DROPPING columns (xshop_item.place): in two releases" in judged["xshop.0005_no_place"]["messages"][0]
    assert {"auth.0001_initial", "sessions.0001_initial"} < judged.keys(), "a deploy asks for Django's own too"


def test_verdicts_hold_until_what_they_depend_on_changes(project, postgres):
    """A view or a template does not matter. A changed model, migration, file that a migration may read, or pin does,
    and so does a database without verdicts."""
    read = ("xshop/migrations/0006.sql", "xshop/migrations/static/view", "xshop/sql/fill.sql")
    for path in (*read, "xshop/templates/xshop/page.html"):
        put(project / path, "SELECT 1;\n")
    add(project, "xshop.0006_sql", 'migrations.RunSQL(open(__file__.replace("_sql.py", ".sql")).read())',
        "xshop.0005_no_place")
    assert verdicts(project).returncode == 0
    assert verdicts(project, "--hold").returncode == 1, "Postgres was not judged for"
    assert verdicts(project, url=postgres.url(postgres.database(migrated=False))).returncode == 0
    for path in ("xshop/views.py", "xshop/templates/xshop/page.html"):
        (project / path).write_text("# another line\n")
    assert verdicts(project, "--hold").returncode == 0
    for path in (*read, "xshop/models.py", "xshop/migrations/0003_note.py", "pins"):
        before = (project / path).read_text()
        (project / path).write_text(before + "# another line\n")
        assert verdicts(project, "--hold").returncode == 1, path
        (project / path).write_text(before)
    (project / "migrations.json").write_text("[]")
    assert verdicts(project, "--hold").returncode == 1


def test_a_database_that_is_away_is_asked_again(project, postgres):
    """The failure is reported and kept for no other build; two results differ, so that Docker's cache does not reuse
    one. After a success no trace is left."""
    assert verdicts(project).returncode == 0
    results = []
    for _ in range(2):
        done = verdicts(project, url="postgres://postgres@127.0.0.1:1/none")
        assert done.returncode == 0 and done.stderr.startswith("no verdicts for postgresql: "), done.stderr
        results.append(found(project))
    assert results[0]["failed"] == results[1]["failed"] and results[0] != results[1]
    assert verdicts(project, "--hold").returncode == 1
    assert verdicts(project, url=postgres.url(postgres.database(migrated=False))).returncode == 0
    assert found(project)["failed"] == found(project)["again"] == {}
    assert verdicts(project, "--hold").returncode == 0


SQL = 'migrations.RunSQL("SELECT nothing FROM nowhere")'
LOST = 'migrations.RunPython(lambda _, editor: editor.execute("SELECT pg_terminate_backend(pg_backend_pid())"))'
NO_SQL = "migrations.RunPython(lambda *_: 1 / 0)"


@pytest.mark.parametrize("operation, again", [(SQL, set()), (LOST, {"postgresql"}), (NO_SQL, {"postgresql"})])
def test_only_what_the_database_refuses_holds(project, postgres, operation, again):
    """If the project works only on another database, that is reported, fails no build, and is not tried again. A
    connection that breaks, and an error that is not the database's, are tried again."""
    add(project, "xshop.0006_wrong", operation, "xshop.0005_no_place")
    done = verdicts(project, url=postgres.url(postgres.database(migrated=False)))
    assert done.returncode == 0 and done.stderr.startswith("no verdicts for postgresql: ")
    assert found(project)["failed"].keys() == {"postgresql"} and found(project)["again"].keys() == again
