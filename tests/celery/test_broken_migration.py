"""What starts first migrates the project's own database, and says it when that fails."""

import pytest

from proc import free_port

WRONG = """from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [{}]
"""


CELERY = ("-m", "celery", "-q", "-A", "project")


@pytest.mark.parametrize("operation, said, commands", [
    ("migrations.RunSQL('SELECT nonsense')", "no such column: nonsense", ["runserver", "worker", "beat"]),
    ("migrations.RunPython(lambda *_: 1 / 0)", "division by zero", ["runserver"])])
def test_a_migration_that_fails(clone, operation, said, commands):
    """Server, worker and beat name the migration and its error in a line, and what shows more; none goes on with half
    of a database."""
    (clone.path / "project/accounts/migrations/0002_wrong.py").write_text(WRONG.format(operation))
    for command in commands:
        words = ["manage.py", command, str(free_port())] if command == "runserver" else [*CELERY, command]
        done = clone.run("python", *words)
        told = [line for line in done.stdout.splitlines() if "accounts.0002_wrong" in line]
        assert done.returncode == 1 and "Traceback" not in done.stdout, done.stdout
        assert len(told) == 1 and said in told[0] and told[0].endswith("To see where: make migrate"), done.stdout
