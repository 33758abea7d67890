"""What starts first migrates the project's own database, and says it when that fails."""

import pytest

from proc import free_port

WRONG = """from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [{}]
"""


@pytest.mark.parametrize("operation, said", [("migrations.RunSQL('SELECT nonsense')", "no such column: nonsense"),
                                             ("migrations.RunPython(lambda *_: 1 / 0)", "division by zero")])
def test_a_migration_that_fails(clone, operation, said):
    """Server, worker and beat name the migration and its error in a line, and what shows more; none goes on with half
    of a database."""
    (clone.path / "project/accounts/migrations/0002_wrong.py").write_text(WRONG.format(operation))
    celery = ("python", "-m", "celery", "-q", "-A", "project")
    for command in (("python", "manage.py", "runserver", str(free_port())), (*celery, "worker"), (*celery, "beat")):
        done = clone.run(*command)
        told = [line for line in done.stdout.splitlines() if "accounts.0002_wrong" in line]
        assert done.returncode == 1 and "Traceback" not in done.stdout, done.stdout
        assert len(told) == 1 and said in told[0] and told[0].endswith("To see where: make migrate"), done.stdout
