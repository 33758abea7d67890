"""The models of a live release, and operations on them in short."""

from functools import cache

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.operations import BtreeGistExtension
from django.db import models
from django.db.migrations import (
    AddConstraint,
    AddField,
    AlterField,
    CreateModel,
    RunPython,
    SeparateDatabaseAndState,
)

OWN = {"vendors": ("postgresql",)}
KEY = ("id", models.BigAutoField(primary_key=True))


def group(name="Group"):
    return CreateModel(name, [KEY, ("name", models.CharField(max_length=20))])


@cache
def live():
    """Return the operations of a release with two models: an item has a group, and fields of several types."""
    fields = [
        KEY,
        ("name", models.CharField(max_length=10)),
        ("note", models.CharField(max_length=10, null=True)),
        ("count", models.IntegerField()),
        ("rank", models.IntegerField(null=True)),
        ("size", models.IntegerField(db_default=3)),
        ("code", models.CharField(max_length=9, unique=True)),
        ("group", models.ForeignKey("shop.Group", models.CASCADE)),
    ]
    return [group(), group("Tag"), CreateModel("Item", [*fields, ("tags", models.ManyToManyField("shop.Tag"))])]


def state_only(*operations):
    return SeparateDatabaseAndState([], [*operations])


def add(name, field):
    return AddField("item", name, field)


def alter(name, field):
    return AlterField("item", name, field)


def check(condition):
    return AddConstraint("item", models.CheckConstraint(condition=condition, name="the_check"))


def unique(*words, **options):
    return AddConstraint("item", models.UniqueConstraint(*words, name="the_unique", **options))


def number(**options):
    return models.IntegerField(**options)


def python(code):
    """Return an operation that executes SQL by a cursor."""

    def run(apps, editor):
        with editor.connection.cursor() as cursor:
            cursor.execute(code)

    return RunPython(run)


def by_models(apps, editor):
    apps.get_model("shop", "Group").objects.create(name="first")


def exclusion(name, *expressions, **options):
    return [
        BtreeGistExtension(),
        AddConstraint("item", ExclusionConstraint(name=name, expressions=[*expressions], **options)),
    ]
