"""Which migrations made the tables that SQL is about. Only statements as Django's schema editor writes them are read:
of any other nobody can tell what they are about."""

import re
from collections.abc import Iterable

Told = tuple[list[str], frozenset[str]]  # statements on a table, and the migrations that made it
FORMS = [re.compile(form) for form in (
    r'CREATE TABLE "([^"]+)" \(.*',
    r'DROP TABLE "([^"]+)"(?: CASCADE)?',
    r'ALTER TABLE "([^"]+)" RENAME TO "([^"]+)"',
    r'ALTER TABLE "([^"]+)" (?!RENAME TO ).*',
    r'CREATE (?:UNIQUE )?INDEX (?:CONCURRENTLY )?"[^"]+" ON "([^"]+)" .*')]
MADE = re.compile(r'CREATE TABLE "([^"]+)" \(')
RENAMED = re.compile(r'ALTER TABLE "(?!new__)([^"]+)" RENAME TO "([^"]+)"')  # SQLite's new__x takes the place of x
NOBODY = ""  # no migration that is known


class Tables:
    """Learns from the SQL of all migrations, in the order in which they are applied."""

    def __init__(self) -> None:
        self.makers: dict[str | None, set[str]] = {}  # table → names of migrations

    def told(self, name: str, sql: Iterable[str]) -> list[Told]:
        """[(the statements that are about a table, the migrations that made it by then)] of the SQL of a migration."""
        found: dict[str | None, list[str]] = {}
        for line in sql:
            self.learn(name, line)
            for table in about(line):
                found.setdefault(table, []).append(line)
        return [(lines, self.made(table)) for table, lines in found.items()]

    def learn(self, name: str, line: str) -> None:
        """A table that was dropped and is made again keeps its makers: code may count on the one of before."""
        if made := MADE.match(line):
            self.makers.setdefault(made[1], set()).add(name)
        elif renamed := RENAMED.match(line):
            self.makers.setdefault(renamed[2], set()).update(self.made(renamed[1]))

    def made(self, table: str | None) -> frozenset[str]:
        return frozenset(self.makers.get(table, {NOBODY}))


def about(line: str) -> set[str | None]:
    """The tables that a line of SQL changes; among them None where that is not plain."""
    parts = [] if line.startswith("--") else [part.strip() for part in line.split(";")]
    found: set[str | None] = set()
    for part in parts:
        if part not in ("", "BEGIN", "COMMIT") and not part.startswith("SET CONSTRAINTS "):
            found |= {table and table.removeprefix("new__") for table in read(part)}
    return found


def read(part: str) -> set[str | None]:
    """The tables that a statement changes; None for what is not plain."""
    match = next(filter(None, (form.fullmatch(part) for form in FORMS)), None)
    if not match or part.count("'") % 2:  # the end of a text, or its beginning
        return {None}
    return set(match.groups())
