"""Tests of slipway/schema/verdicts.py in a project with an app: its verdicts on migrations for each database."""

import re

import pytest

from ops.judging import add, copy, found, verdicts

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


SQL = 'migrations.RunSQL("SELECT nothing FROM nowhere")'
LOST = 'migrations.RunPython(lambda _, editor: editor.execute("SELECT pg_terminate_backend(pg_backend_pid())"))'
NO_SQL = "migrations.RunPython(lambda *_: 1 / 0)"


@pytest.mark.parametrize("operation", [SQL, LOST, NO_SQL])
def test_a_database_without_verdicts(project, postgres, operation):
    """If the project works only on another database, or a connection breaks, that is reported and fails no build."""
    add(project, "xshop.0006_wrong", operation, "xshop.0005_no_place")
    done = verdicts(project, url=postgres.url(postgres.database(migrated=False)))
    assert done.returncode == 0 and done.stderr.startswith("no verdicts for postgresql: ")
    assert found(project)["failed"].keys() == {"postgresql"} and not found(project)["vendors"]
