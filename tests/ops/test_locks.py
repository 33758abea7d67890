"""Whom a migration keeps waiting, and if old code works after it: what the build's verdicts say on Postgres."""

import pytest
from django_migration_linter.sql_analyser.base import Issue

from slipway.schema.columns import widens
from slipway.schema.verdicts import CURES, text


@pytest.mark.parametrize("issue, said", [
    (("NOT_NULL", "NOT NULL constraint"), "NOT NULL constraint (item.note): " + CURES["NOT_NULL"]),
    (("ADD_UNIQUE", "ADDING unique constraint"), "ADDING unique constraint: " + CURES["ADD_UNIQUE"]),
    (("DROP_COLUMN", "DROPPING columns", "shop", "x"), "DROPPING columns (shop.x): " + CURES["DROP_COLUMN"]),
    (("CREATE_INDEX", "CREATE INDEX locks table", "shop"), "CREATE INDEX locks table (shop)"),
    (("REINDEX", "REINDEX locks table"), "REINDEX locks table")])
def test_a_message_is_whole(issue, said):
    assert text(Issue(*issue), ["item.note"]) == said


@pytest.mark.parametrize("old, new, is_wider", [
    ("character varying(20)", "character varying(40)", True), ("character varying(40)", "character varying(20)", False),
    ("character varying(20)", "text", True), ("text", "character varying(20)", False),
    ("smallint", "integer", True), ("smallint", "bigint", True), ("bigint", "integer", False),
    ("integer", "integer", False), ("integer", "text", False), ("numeric(10,2)", "numeric(12,2)", True),
    ("numeric(10,2)", "numeric(12,3)", False), ("numeric(10,2)", "numeric(9,2)", False),
    ("numeric(10,2)", "text", False), ("character varying(9)", "numeric(12)", False)])
def test_which_types_are_wider(old, new, is_wider):
    assert widens(old, new) is is_wider
