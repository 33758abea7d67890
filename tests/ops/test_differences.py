"""What a release uses, compared with columns of the living database and with pending changes."""

import pytest

from slipway.schema.living import differences

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
