"""What a release uses, compared with columns of the living database and with pending changes."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.schema.living import COLUMNS, differences

USES = {"t": {"a": {"type": "text"}, "b": {"type": "text"}}, "foreign": {"n": {"type": ""}}}
FITS = {"a": False, "b": False}  # column → whether a row may leave it out
TOO_MUCH = "column t.c is NOT NULL and without a default, and this release does not know it"


def change(what, table="t", **values):
    return {"what": what, "table": table, **values}


@pytest.mark.parametrize(
    "living, pending, missing",
    [
        ({"t": FITS}, [], []),
        ({}, [], ["table t is missing"]),
        ({}, [change("table new")], []),
        ({"s": FITS}, [change("table gone", "s", to="t"), change("table new")], []),
        ({}, [change("table new", "s")], ["table t is missing"]),
        ({"t": {"a": False}}, [], ["column t.b is missing"]),
        ({"t": {}}, [], ["column t.a is missing", "column t.b is missing"]),
        ({"t": {"a": False}}, [change("column new", column="b")], []),
        ({"t": {"a": False}}, [change("column new", "s", column="b")], ["column t.b is missing"]),
        ({"t": {"a": False, "x": False}}, [change("column gone", column="x", to="b")], []),
        ({"t": {**FITS, "c": True}}, [], []),
        ({"t": {**FITS, "c": False}}, [], [TOO_MUCH]),
        ({"t": {**FITS, "c": False}}, [change("column gone", column="c")], []),
        ({"t": {**FITS, "c": False}}, [change("optional", column="c")], []),
        ({"t": {**FITS, "c": False}}, [change("optional", "s", column="c")], [TOO_MUCH]),
        ({"t": FITS, "other": {"c": False}}, [], []),
        ({"t": FITS, "foreign": {"c": False}}, [], []),
    ],
)
def test_what_is_missing(living, pending, missing):
    """What pending migrations make, name, drop or loosen is not, nor is a table that no migration made."""
    assert [*differences(USES, living, pending)] == missing


# ---- a model: what somebody and pending migrations do to columns, and the release's queries on the real table ----

OURS, OTHERS, NEW = ("a", "b"), ("x", "y"), ("c", "d")  # columns of both releases, of the live one, of the new one
NAMES, KINDS = st.sampled_from([*OURS, *OTHERS, *NEW, "z"]), st.sampled_from(["", "NOT NULL", "NOT NULL DEFAULT ''"])
KEPT, DROPPED = "kept", "dropped"  # or its new name


def by_hand(columns, name, to, kind):
    """Drop or rename a column that there is; add one that there is not."""
    if name not in columns:
        columns[name] = kind
    elif to:
        columns[to] = columns.pop(name)
    else:
        del columns[name]


def works(database, *statements):
    try:
        for sql in statements:
            database.execute(sql)
    except sqlite3.Error:
        return False
    return True


@given(
    st.fixed_dictionaries(dict.fromkeys((*OURS, *OTHERS), KINDS)),
    st.lists(st.tuples(NAMES, st.none() | NAMES, KINDS), max_size=3),
    st.fixed_dictionaries(dict.fromkeys(OTHERS, st.sampled_from([KEPT, DROPPED, *NEW]))),
)
def test_what_is_missing_fails(columns, steps, moves):
    """What is told fails, and nothing else. `moves`: what the pending migrations do to the live release's columns. They
    add the new ones that none becomes."""
    for step in steps:
        by_hand(columns, *step)
    changes, statements = [], []
    for column, move in moves.items():
        if move != KEPT:
            changes.append(change("column gone", column=column, **({"to": move} if move != DROPPED else {})))
            statements.append(f"ALTER TABLE t {f'RENAME {column} TO {move}' if move != DROPPED else f'DROP {column}'}")
    for column in {*NEW} - {*moves.values()}:
        changes.append(change("column new", column=column, null=True, default=False))
        statements.append(f"ALTER TABLE t ADD {column}")
    database = sqlite3.connect(":memory:")
    database.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {', '.join(map(' '.join, columns.items())) or 'z'})")
    living = {"t": {name: optional for _, name, optional in database.execute(COLUMNS["sqlite"])}}
    if works(database, *statements):  # else the deploy ends by itself
        used = [*OURS, *NEW, *(column for column, move in moves.items() if move == KEPT)]
        names, values = ", ".join(used), ", ".join("1" for _ in used)
        queries = (f"SELECT {names} FROM t", f"INSERT INTO t ({names}) VALUES ({values})")
        missing = [*differences({"t": {name: {"type": "text"} for name in used}}, living, changes)]
        assert works(database, *queries) is not bool(missing)
