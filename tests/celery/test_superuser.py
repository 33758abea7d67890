"""make superuser, where it is the first that is typed."""

import re


def test_superuser_first(clone):
    """On a fresh clone: a line on migrations, not the names of them all; then the account is made."""
    words = "ARGS=--noinput --username=ann --email=ann@example.org"
    done = clone.run("superuser", words, DJANGO_SUPERUSER_PASSWORD="x")
    assert done.returncode == 0 and clone.rows("SELECT username FROM accounts_user") == [("ann",)], done.stdout
    assert re.fullmatch(r"\d+ migrations applied to .*\nSuperuser created successfully.\n", done.stdout), done.stdout
