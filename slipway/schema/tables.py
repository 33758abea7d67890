"""Find in SQL which migrations created each table. This module understands only SQL of Django's schema editor."""

import re
from collections.abc import Iterable

Told = tuple[list[str], frozenset[str]]  # statements on a table, and the migrations that created it
FORMS = [re.compile(form) for form in (
    r'CREATE TABLE "([^"]+)" \(.*',
    r'DROP TABLE "([^"]+)"(?: CASCADE)?',
    r'ALTER TABLE "([^"]+)" RENAME TO "([^"]+)"',
    r'ALTER TABLE "([^"]+)" (?!RENAME TO ).*',
    r'CREATE (?:UNIQUE )?INDEX (?:CONCURRENTLY )?"[^"]+" ON "([^"]+)" .*')]
MADE = re.compile(r'CREATE TABLE "([^"]+)" \(')
RENAMED = re.compile(r'ALTER TABLE "(?!new__)([^"]+)" RENAME TO "([^"]+)"')  # not new__x, SQLite's new copy of x
NOBODY = ""  # stands for an unknown migration


class Tables:
    def __init__(self) -> None:
        self.makers: dict[str | None, set[str]] = {}  # table → names of migrations

    def told(self, name: str, sql: Iterable[str]) -> list[Told]:
        """Group the SQL of migration `name` by table. Return each group with the migrations that created the table."""
        found: dict[str | None, list[str]] = {}
        for line in sql:
            self.learn(name, line)
            for table in about(line):
                found.setdefault(table, []).append(line)
        return [(lines, self.made(table)) for table, lines in found.items()]

    def learn(self, name: str, line: str) -> None:
        """If `line` creates or renames a table, record its creators. A drop keeps them: old code may use the table."""
        if made := MADE.match(line):
            self.makers.setdefault(made[1], set()).add(name)
        elif renamed := RENAMED.match(line):
            self.makers.setdefault(renamed[2], set()).update(self.made(renamed[1]))

    def made(self, table: str | None) -> frozenset[str]:
        return frozenset(self.makers.get(table, {NOBODY}))


def about(line: str) -> set[str | None]:
    """Return the tables that a line of SQL changes, with None for SQL of unknown form."""
    parts = [] if line.startswith("--") else [part.strip() for part in line.split(";")]
    found: set[str | None] = set()
    for part in parts:
        if part not in ("", "BEGIN", "COMMIT") and not part.startswith("SET CONSTRAINTS "):
            found |= {table and table.removeprefix("new__") for table in read(part)}
    return found


def read(part: str) -> set[str | None]:
    match = next(filter(None, (form.fullmatch(part) for form in FORMS)), None)
    if not match or part.count("'") % 2:  # the split at ";" cut a string literal
        return {None}
    return set(match.groups())
