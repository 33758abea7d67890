"""The rules: what a migration changed, and what a release uses. tests/schema has the proof that they are true."""

import re

import pytest

from deployer.noted import noted
from slipway.schema.rules import CURES, KEYS, fits, judge, judge_entry, noted_in, uses_before

A = {"a": {"type": "text"}}
GIVEN, LEFT_OUT, NULL = {"a": {}}, {"a": {"left_out": True}}, {"a": {"null": True}}
OTHER = {"b": {}}  # the release does not know the column a


def constraint(what, columns, free=(), idle=()):
    return {"what": what, "columns": [*columns], "free": [*free], "idle": [*idle], "text": "x"}


def column(what, **values):
    return {"what": what, "column": "a", **values}


CASES = [  # change of table t → columns of t that a release uses; does it break?
    *(({"what": "table gone", **to}, columns, True) for columns in (A, OTHER, {}) for to in ({}, {"to": "u"})),
    ({"what": "table new"}, A, False),
    ({"what": "denied", "text": "x"}, OTHER, True),
    *((column("column gone", **to), A, True) for to in ({}, {"to": "c"})),
    (column("column gone"), OTHER, False),
    (column("column replaced"), A, True),
    (column("column replaced"), OTHER, False),
    *(({"what": "computed", "text": "x"}, columns, True) for columns in (A, OTHER)),
    *(
        (column("column new", null=null, default=default), OTHER, not (null or default))
        for null in (True, False)
        for default in (True, False)
    ),
    (column("column new", null=False, default=False), A, False),  # it has come back
    (column("type", old="integer", new="bigint"), GIVEN, False),
    (column("type", old="bigint", new="integer"), GIVEN, True),
    (column("type", old="bigint", new="integer"), OTHER, False),
    (column("type", old="text", new="integer"), {"a": {"type": "smallint"}}, False),  # what the release writes counts
    (column("not null", default=False), GIVEN, False),
    (column("not null", default=True), NULL, True),
    (column("not null", default=False), LEFT_OUT, True),
    (column("not null", default=True), LEFT_OUT, False),
    (column("not null", default=False), OTHER, True),
    (column("not null", default=True), OTHER, False),
    (column("default gone", null=False), GIVEN, False),
    *((column("default gone", null=null), LEFT_OUT, True) for null in (True, False)),
    (column("default gone", null=False), OTHER, True),
    (column("default gone", null=True), OTHER, False),
    (column("generated"), GIVEN, True),
    (column("generated"), LEFT_OUT, False),
    (column("generated"), OTHER, False),
    *(
        (column(what, gone=["x"], text="x"), columns, columns is A)
        for what in ("labels", "domain")
        for columns in (A, OTHER)
    ),
    (column("optional"), A, False),
    *((constraint(what, "ab"), {**A, **OTHER}, True) for what in ("unique", "exclude", "check", "foreign key")),
    *((constraint(what, "a", free="a"), OTHER, False) for what in ("unique", "exclude", "check", "foreign key")),
    *((constraint(what, "a"), OTHER, True) for what in ("unique", "exclude", "check", "foreign key")),
    *((constraint(what, "a", free="a"), A, True) for what in ("unique", "exclude", "check", "foreign key")),
    *((constraint(what, "ab", free="a"), OTHER, False) for what in ("unique", "exclude", "foreign key")),
    (constraint("check", "ab", free="a"), OTHER, True),  # it depends on what the release writes to b
    (constraint("check", "ac", free="ac"), OTHER, False),
    (constraint("unique", "b", idle="a"), OTHER, False),  # the condition is never true
    (constraint("unique", "b", idle="ab"), OTHER, True),  # it depends
]


@pytest.mark.parametrize("change, columns, breaks", CASES, ids=str)
def test_rules(change, columns, breaks):
    """An error names the table and has a cure. Nothing is one for a release that does not use the table."""
    change = {**change, "table": "t"}
    errors, warnings = judge([change], {"t": columns})
    assert bool(errors) is breaks and not warnings
    for error in errors:
        assert re.search(r"\bt\b", error) and error.endswith(tuple(f": {cure}" for cure in CURES.values()))
    assert judge([change], {"u": columns}) == ([], [])


def test_each_kind_of_change_has_a_rule():
    tested = {change["what"] for change, *_ in CASES}
    assert tested == KEYS.keys() - {"other"}
    assert {name for name in CURES if not name.endswith(" renamed")} == tested - {"table new", "optional"}


def test_what_no_rule_knows_is_a_warning():
    changes = [{"what": "other", "table": "t", **more, "text": "it is odd"} for more in ({}, {"column": "a"})]
    assert judge(changes, {"t": {}}) == ([], ["t: it is odd", "t.a: it is odd"])
    assert judge(changes, {}) == ([], [])


@pytest.mark.parametrize(
    "old, new, does",
    [
        ("smallint", "bigint", True),
        ("integer", "integer", True),
        ("integer", "smallint", False),
        ("integer", "numeric", False),
        ("real", "double precision", True),
        ("double precision", "real", False),
        ("character varying(9)", "character varying(10)", True),
        ("character varying(9)", "character varying(9)", True),
        ("character varying(10)", "character varying(9)", False),
        ("character varying(10)", "text", True),
        ("character varying(10)", "character varying", True),
        ("character varying", "text", True),
        ("text", "character varying", True),
        ("text", "character varying(10)", False),
        ("character(3)", "character(4)", False),  # it is padded
        ("character varying(3)", "character(4)", False),
        ("numeric(5,2)", "numeric", True),
        ("numeric(5,2)", "numeric(6,2)", True),
        ("numeric(5,2)", "numeric(6,3)", True),
        ("numeric(5,2)", "numeric(5,3)", False),
        ("numeric(5,2)", "numeric(6,1)", False),
        ("numeric(5)", "numeric(6)", True),
        ("timestamp with time zone", "date", False),
        ("uuid", "text", False),
    ],
)
def test_a_type_that_takes_and_gives_all(old, new, does):
    assert fits(old, new) is does


def test_what_the_build_could_not_see():
    """What failed is an error of any release; what did not run and what stays locked are warnings, whoever uses it."""
    entry = {"changes": [], "before": {}, "failed": "f", "warnings": ["w"], "unjudged": "u"}
    assert judge_entry(entry, {}) == (["f"], ["w", "u"])


def test_what_a_release_used_that_lacks_migrations():
    """By the first of them that touches a table; not what they made themselves, but what they drop and make again."""
    made = {"changes": [{"what": "table new", "table": "new"}], "before": {"old": {"a": {}, "b": {}}}}
    later = {"changes": [], "before": {"new": {"c": {}}, "old": {"a": {}}}}
    entries = {"s.1": made, "s.2": later, "s.3": {"changes": [], "before": {"third": {}}}}
    assert uses_before(entries, ["s.2", "s.1", "nobodys.1"]) == {"old": {"a": {}, "b": {}}}
    assert uses_before(entries, ["s.2"]) == {"new": {"c": {}}, "old": {"a": {}}}
    again = {
        "changes": [{"what": "table gone", "table": "t"}, {"what": "table new", "table": "t"}],
        "before": {"t": {}},
    }
    assert uses_before({"s.1": again}, ["s.1"]) == {"t": {}}


def test_versions():
    """An older build noted verdicts, of which an error counts; a newer one is not read."""
    verdicts = {f"s.{verdict}": {"verdict": verdict, "messages": ["a", "b"]} for verdict in ("ok", "warning", "error")}
    [older] = noted_in({"version": 2, "vendors": {"sqlite": verdicts}}).values()
    assert older["uses"] is None and [*older["migrations"]] == [*verdicts]
    judged = {name: judge_entry(entry, {}) for name, entry in older["migrations"].items()}
    assert judged == {"s.ok": ([], []), "s.warning": ([], []), "s.error": (["a; b"], [])}
    own = noted({"s.1": {"changes": [], "before": {}}})
    assert noted_in({"version": 3, "vendors": {"sqlite": own}}) == {"sqlite": own}
    with pytest.raises(ValueError, match="4"):
        noted_in({"version": 4, "vendors": {}})
