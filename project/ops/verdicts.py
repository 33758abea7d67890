"""What django-migration-linter says of each migration, as JSON: `python -m project.ops.verdicts >migrations.json`.

The image's test stage runs it, and the image keeps the answer: {"version": 1, "vendor": "sqlite", "migrations":
{"app.0001_name": {"verdict": "ok", "messages": []}}}, where a verdict is ok, ignored, warning or error. An error
means that code of before cannot run on the database after; a deploy refuses those while such code runs.
"""

import json
import logging
import sys

import django
from django.db import connection
from django_migration_linter import MigrationLinter


class Verdicts(MigrationLinter):
    """The linter with its findings kept instead of printed."""

    def __init__(self):
        super().__init__(no_cache=True)
        self.migrations = {}

    def print_linting_msg(self, app_label, migration_name, msg, lint_result):
        self.messages = []
        name = {"ignore": "ignored"}.get(lint_result.value, lint_result.value)
        self.migrations[f"{app_label}.{migration_name}"] = {"verdict": name, "messages": self.messages}

    def print_errors(self, errors):
        self.messages.extend(text(issue) for issue in errors)

    print_warnings = print_errors


def text(issue):
    """An issue in a line: what, and in which table and column where the linter knows."""
    where = ".".join(part for part in (issue.table, issue.column) if part)
    return f"{issue.message} ({where})" if where else issue.message


def main():
    django.setup()
    logging.getLogger("django_migration_linter").setLevel(logging.WARNING)
    linter = Verdicts()
    linter.lint_all_migrations()
    json.dump({"version": 1, "vendor": connection.vendor, "migrations": linter.migrations}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
