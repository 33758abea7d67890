"""Finds in SQL what the linter does not see: which names it drops, and a CHECK that old code may not pass."""

import re
from collections.abc import Iterator

from django_migration_linter.sql_analyser.base import Issue

CHECK = re.compile(r'ALTER TABLE "?(\w+)"? ADD CONSTRAINT \S+ CHECK (.*)')


def dropped_names(line: str) -> list[tuple[str, str]]:
    """Return what a line of SQL drops, as (table, column); its column is "" for a table. ("", "") is unknown."""
    if line.startswith("DROP TABLE"):
        return [(name, "") for name in re.findall(r"\w+", re.sub("DROP TABLE|IF EXISTS|CASCADE|RESTRICT", "", line))]
    table = re.match(r'\s*ALTER TABLE (?:IF EXISTS )?(?:ONLY )?"?(\w+)"? ', line)
    columns = re.findall(r'DROP COLUMN (?:IF EXISTS )?"?(\w+)"?', line)
    return [(table[1] if table else "", column) for column in columns] or [("", "")]


def forbidding_checks(sql: list[str]) -> Iterator[Issue]:
    """Yield an issue for each CHECK on columns that old code may write: neither table nor column is new."""
    script = "\n".join(sql)
    new_tables = {*re.findall(r'^CREATE TABLE "(\w+)"', script, re.MULTILINE)}
    new_columns = {*re.findall(r' ADD COLUMN "(\w+)"', script)}
    for match in filter(None, map(CHECK.match, sql)):
        table, check = match.groups()
        columns = {*re.findall(r'"(\w+)"', check)}
        are_new = columns and columns <= new_columns
        if table not in new_tables and not are_new:
            yield Issue("ADD_CHECK", "ADDING check constraint", table)
