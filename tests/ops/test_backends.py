"""Another backend that is Postgres underneath: all its migrations are judged."""

from ops.judging import add, copy, in_build, judged, verdicts
from proc import put
from slipway.schema.executor import FAILED

# As backends do that take care of locks: statements that are no text, one by one, in connections of their own.
BACKEND = """from django.db.backends.postgresql import base, schema


class Lock:
    def __str__(self):
        return "SET lock_timeout = '10s'"


class Sql:
    def __init__(self, text):
        self.text = text

    def __mod__(self, values):
        return Sql(self.text % values)

    def __str__(self):
        return str(self.text)


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    sql_alter_column_type = Sql(schema.DatabaseSchemaEditor.sql_alter_column_type)
    sql_delete_column = Sql(schema.DatabaseSchemaEditor.sql_delete_column)

    def __init__(self, connection, collect_sql=False, atomic=True):
        super().__init__(connection, collect_sql, atomic=False)

    def __enter__(self):
        self.connection.close()
        super().__enter__()
        self.deferred_sql.append(Lock())
        return self

    def execute(self, sql, params=()):
        super().execute(Lock())
        super().execute(Sql(sql), params)

    def __exit__(self, *error):
        super().__exit__(*error)
        self.connection.close()


class DatabaseWrapper(base.DatabaseWrapper):
    SchemaEditorClass = DatabaseSchemaEditor
"""
MIGRATIONS = {  # operation → how its errors begin
    'CreateModel("Item", [("id", BigAutoField(primary_key=True)), ("name", TextField()), ("code", CharField())])': [],
    'AddField("item", "note", TextField(default="")), AddField("item", "n", IntegerField(null=True, db_index=True))': [
        "column xshop_item.note is new, NOT NULL"
    ],
    'RunSQL("SELECT nothing FROM nowhere", "")': [FAILED],
    'AlterField("item", "code", CharField(max_length=9))': ["column xshop_item.code is character varying(9) now"],
    "RunPython(caught, RunPython.noop)": [],
    "RunSQL('CREATE INDEX CONCURRENTLY i ON xshop_item (code)', '')": [],
    'RemoveField("item", "name")': ["column xshop_item.name is gone"],
}


def test_a_backend_with_an_editor_of_its_own(tmp_path, postgres):
    """What fails, and whichever connection is closed, ends no verdict on what follows."""
    project = copy(tmp_path / "a project", "xshop")
    put(project / "careful/__init__.py")
    put(project / "careful/base.py", BACKEND)
    settings = project / "project/settings_test.py"
    put(settings, f'{settings.read_text()}\nDATABASES["default"]["ENGINE"] = "careful"\n')
    for number, operations in enumerate(MIGRATIONS, 1):
        add(project, f"xshop.000{number}", operations, *([f"xshop.000{number - 1}"] if number > 1 else []))
    done = verdicts(project, url=postgres.url(postgres.database(migrated=False)))
    assert done.returncode == 0 and done.stderr.count("no verdict for postgresql on ") == 1, done.stderr
    noted = in_build(project)["vendors"]["postgresql"]
    for number, starts in enumerate(MIGRATIONS.values(), 1):
        errors = judged(noted, f"xshop.000{number}").errors
        assert len(errors) == len(starts) and all(map(str.startswith, errors, starts)), (number, errors)
    assert "sessions.0001_initial" in noted["migrations"], "whose table comes after it"
