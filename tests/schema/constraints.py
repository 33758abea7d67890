"""Cases of constraints and indexes that come, go and change."""

from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import models
from django.db.migrations import (
    AddConstraint,
    AddIndex,
    AlterUniqueTogether,
    RemoveConstraint,
    RemoveIndex,
    RenameIndex,
)
from django.db.models import F, Q
from django.db.models.functions import Lower, Upper

from schema.live import OWN, add, check, exclusion, number, unique

# Name → operations, or (operations, what the release before has too, more about the case).
CONSTRAINTS = {
    "unique together": [AlterUniqueTogether("item", {("name", "count")})],
    "unique together with a unique field": [AlterUniqueTogether("item", {("name", "code")})],
    "unique together, gone": (
        [AlterUniqueTogether("item", set())],
        [AlterUniqueTogether("item", {("name", "code")})],
        {},
    ),
    "unique together, wider": (
        [AlterUniqueTogether("item", {("name", "count", "rank")})],
        [AlterUniqueTogether("item", {("name", "count")})],
        {},
    ),
    "unique together, narrower": (
        [AlterUniqueTogether("item", {("name", "count")})],
        [AlterUniqueTogether("item", {("name", "count", "rank")})],
        {},
    ),
    "unique together with a new nullable field": [
        add("new", number(null=True)),
        AlterUniqueTogether("item", {("name", "new")}),
    ],
    "index": [AddIndex("item", models.Index(fields=["name", "-count"], name="i"))],
    "index removed": ([RemoveIndex("item", "i")], [AddIndex("item", models.Index(fields=["name"], name="i"))], {}),
    "index renamed": (
        [RenameIndex("item", "j", old_name="i")],
        [AddIndex("item", models.Index(fields=["name"], name="i"))],
        {},
    ),
    "index of an expression": [AddIndex("item", models.Index(Lower("name"), name="i"))],
    "index of an expression that fails": ([AddIndex("item", models.Index(10 / F("count"), name="i"))], [], OWN),
    "partial index": [AddIndex("item", models.Index(fields=["name"], condition=Q(count__gt=1), name="i"))],
    "unique": [unique(fields=["name"])],
    "unique, of a null field": [unique(fields=["note"])],
    "unique, of new null field": [add("new", number(null=True)), unique(fields=["new"])],
    "unique, of new null fields": [
        add("new", number(null=True)),
        add("two", number(null=True)),
        unique(fields=["new", "two"]),
    ],
    "unique, of new field with db_default": [add("new", number(db_default=1)), unique(fields=["new"])],
    "unique, of old and new null field": [add("new", number(null=True)), unique(fields=["name", "new"])],
    "unique, of old and new db_default": [add("new", number(db_default=1)), unique(fields=["name", "new"])],
    "unique, of unique and new db_default": [add("new", number(db_default=1)), unique(fields=["code", "new"])],
    "unique, of new null, nulls not distinct": (
        [add("new", number(null=True)), unique(fields=["new"], nulls_distinct=False)],
        [],
        OWN,
    ),
    "unique, of old and new null, nulls not distinct": (
        [add("new", number(null=True)), unique(fields=["name", "new"], nulls_distinct=False)],
        [],
        OWN,
    ),
    "unique, of null field, nulls not distinct": ([unique(fields=["note"], nulls_distinct=False)], [], OWN),
    "unique, partial": [unique(fields=["name"], condition=Q(count__gt=2))],
    "unique, partial where new null field is set": [
        add("new", number(null=True)),
        unique(fields=["name"], condition=Q(new__isnull=False)),
    ],
    "unique, partial where new null field is null": [
        add("new", number(null=True)),
        unique(fields=["name"], condition=Q(new__isnull=True)),
    ],
    "unique, partial where a db_default is true": [
        add("new", models.BooleanField(db_default=True)),
        unique(fields=["name"], condition=Q(new=True)),
    ],
    "unique, partial where a db_default is false": [
        add("new", models.BooleanField(db_default=False)),
        unique(fields=["name"], condition=Q(new=True)),
    ],
    "unique, of an expression": [unique(Lower("name"))],
    "unique, of an expression of a new null field": [add("new", models.TextField(null=True)), unique(Lower("new"))],
    "unique, of an expression of a unique field": [unique(Upper("code"))],
    "unique, deferrable": ([unique(fields=["name"], deferrable=models.Deferrable.DEFERRED)], [], OWN),
    "unique, with another field included": ([unique(fields=["code"], include=["name"])], [], OWN),
    "unique, gone": ([RemoveConstraint("item", "the_unique")], [unique(fields=["code", "name"])], {}),
    "unique, stricter": (
        [RemoveConstraint("item", "the_unique"), unique(fields=["name"])],
        [unique(fields=["name"], condition=Q(count__gt=2))],
        {},
    ),
    "unique, freer": (
        [RemoveConstraint("item", "the_unique"), unique(fields=["name"], condition=Q(count__gt=2))],
        [unique(fields=["name"])],
        {},
    ),
    "check": [check(Q(count__gt=0))],
    "check of a null field": [check(Q(rank__gt=5))],
    "check that all values pass": [check(Q(count__gte=-(2**31)))],
    "check not valid": (
        [AddConstraintNotValid("item", models.CheckConstraint(condition=Q(count__gt=0), name="c"))],
        [],
        OWN,
    ),
    "check validated": (
        [ValidateConstraint("item", "c")],
        [AddConstraintNotValid("item", models.CheckConstraint(condition=Q(count__gt=0), name="c"))],
        OWN,
    ),
    "check of a new null field": [add("new", number(null=True)), check(Q(new__gt=5))],
    "check that a new field is not null": [add("new", number(null=True)), check(Q(new__isnull=False))],
    "check of a new default that passes": [add("new", number(db_default=7)), check(Q(new__gt=5))],
    "check of a new default that fails": [add("new", number(db_default=3)), check(Q(new__gt=5))],
    "check of new fields, one set": [
        add("a", number(null=True)),
        add("b", number(null=True)),
        check(Q(a__isnull=False) | Q(b__isnull=False)),
    ],
    "check of new fields, both or none": [
        add("a", number(null=True)),
        add("b", number(null=True)),
        check(Q(a__isnull=F("b")) if False else Q(a=F("b"))),
    ],
    "check of an old and a new field": [add("new", number(null=True)), check(Q(count__gt=F("new")))],
    "check of an old or a new field": [add("new", number(db_default=1)), check(Q(count__gt=100) | Q(new=1))],
    "check of an old and a new default": [add("new", number(db_default=1)), check(Q(count__gt=F("new")))],
    "check, gone": ([RemoveConstraint("item", "the_check")], [check(Q(count__gte=0))], {}),
    "check, stricter": ([RemoveConstraint("item", "the_check"), check(Q(count__gt=100))], [check(Q(count__gte=0))], {}),
    "check, freer": ([RemoveConstraint("item", "the_check"), check(Q(count__gte=-5))], [check(Q(count__gte=0))], {}),
    "check, another name": (
        [RemoveConstraint("item", "c"), check(Q(count__gte=0))],
        [AddConstraint("item", models.CheckConstraint(condition=Q(count__gte=0), name="c"))],
        {},
    ),
    "exclusion": (exclusion("x", ("name", "=")), [], OWN),
    "exclusion of a unique field": (exclusion("x", ("code", "=")), [], OWN),
    "exclusion of a new null field": (
        [add("new", number(null=True)), *exclusion("x", ("new", "="), ("name", "="))],
        [],
        OWN,
    ),
    "exclusion of a new db_default": ([add("new", number(db_default=1)), *exclusion("x", ("new", "="))], [], OWN),
    "exclusion, partial on a new null field": (
        [add("new", number(null=True)), *exclusion("x", ("name", "="), condition=Q(new__isnull=False))],
        [],
        OWN,
    ),
    "exclusion, gone": ([RemoveConstraint("item", "x")], exclusion("x", ("code", "=")), OWN),
}
