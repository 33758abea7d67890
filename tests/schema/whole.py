"""Cases of whole migrations, of one or more of Django's operations, on the models of a live release."""

from functools import cache

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.operations import AddConstraintNotValid, BtreeGistExtension, ValidateConstraint
from django.db import models
from django.db.migrations import (
    AddConstraint,
    AddField,
    AddIndex,
    AlterField,
    AlterModelManagers,
    AlterModelOptions,
    AlterModelTable,
    AlterModelTableComment,
    AlterOrderWithRespectTo,
    AlterUniqueTogether,
    CreateModel,
    DeleteModel,
    RemoveConstraint,
    RemoveField,
    RemoveIndex,
    RenameField,
    RenameIndex,
    RenameModel,
    RunPython,
    RunSQL,
    SeparateDatabaseAndState,
)
from django.db.models import F, Q
from django.db.models.functions import Lower, Now, Upper

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


FLAG = add("flag", models.BooleanField(default=False))
MORE = [KEY, ("name", models.CharField(max_length=20))]
OWN = {"vendors": ("postgresql",)}
PERSON = [CreateModel("Person", [*MORE, ("born", models.DateField(null=True))])]
# Name → operations, or (operations, what the release before has too, more about the case).
WHOLE = {
    "flag, then a model": [FLAG, group("Other")],
    "a model, then flag": [group("Other"), FLAG],
    "flag, then a field with db_default": [FLAG, add("two", number(db_default=2))],
    "a field with db_default, then flag": [add("two", number(db_default=2)), FLAG],
    "flag with both defaults": [add("flag", models.BooleanField(default=False, db_default=False))],
    "flag, nullable a moment later": [FLAG, alter("flag", models.BooleanField(null=True))],
    "flag, db_default a moment later": [FLAG, alter("flag", models.BooleanField(db_default=False))],
    "flag, gone a moment later": [FLAG, RemoveField("item", "flag")],
    "flag in SeparateDatabaseAndState": [SeparateDatabaseAndState([FLAG], [FLAG])],
    "flag in the state only": [state_only(FLAG)],
    "field removed in the state only": [state_only(RemoveField("item", "note"))],
    "field removed in the database only": [SeparateDatabaseAndState([RemoveField("item", "note")], [])],
    "model created": [group("Other")],
    "model created that refers": [
        CreateModel("Other", [*MORE, ("item", models.ForeignKey("shop.Item", models.CASCADE))])
    ],
    "model created that refers one to one": [
        CreateModel("Other", [("item", models.OneToOneField("shop.Item", models.CASCADE, primary_key=True))])
    ],
    "model created that inherits": [
        CreateModel(
            "Special",
            [
                (
                    "item_ptr",
                    models.OneToOneField(
                        "shop.Item",
                        models.CASCADE,
                        parent_link=True,
                        primary_key=True,
                        auto_created=True,
                        serialize=False,
                    ),
                )
            ],
            bases=("shop.item",),
        )
    ],
    "model created with many to many": [CreateModel("Other", [*MORE, ("items", models.ManyToManyField("shop.Item"))])],
    "model created as proxy": [CreateModel("Proxy", [], {"proxy": True}, bases=("shop.item",))],
    "model created unmanaged": [CreateModel("Other", MORE, {"managed": False})],
    "model deleted": [DeleteModel("Item")],
    "model deleted that others need": [RemoveField("item", "tags"), DeleteModel("Tag")],
    "model deleted in the state only": [state_only(DeleteModel("Item"))],
    "unused model deleted": (
        [state_only(group("Other")), DeleteModel("Other")],
        [group("Other"), state_only(DeleteModel("Other"))],
        {},
    ),
    "proxy deleted": ([DeleteModel("Proxy")], [CreateModel("Proxy", [], {"proxy": True}, bases=("shop.item",))], {}),
    "unmanaged model deleted": (
        [DeleteModel("Other")],
        [CreateModel("Other", MORE, {"managed": False, "db_table": "shop_group"})],
        {},
    ),
    "model renamed": [RenameModel("Item", "Thing")],
    "model renamed that others refer to": [RenameModel("Group", "Kind")],
    "model renamed with many to many": [RenameModel("Tag", "Label")],
    "model renamed, its table kept": [
        AlterModelTable("group", "shop_group"),
        RenameModel("Group", "Kind"),
    ],
    "model renamed, a view in its place": (
        [RenameModel("Group", "Kind"), RunSQL("CREATE VIEW shop_group AS SELECT * FROM shop_kind")],
        [],
        OWN,
    ),
    "table renamed": [AlterModelTable("item", "things")],
    "table renamed and back": [AlterModelTable("item", "things"), AlterModelTable("item", None)],
    "table renamed to its name": [AlterModelTable("item", "shop_item")],
    "unmanaged table renamed": (
        [AlterModelTable("other", "shop_tag")],
        [CreateModel("Other", MORE, {"managed": False, "db_table": "shop_group"})],
        {},
    ),
    "two columns swapped": [
        RenameField("item", "count", "third"),
        RenameField("item", "size", "count"),
        RenameField("item", "third", "size"),
    ],
    "two columns of one type swapped": (
        [
            RenameField("item", "left", "third"),
            RenameField("item", "right", "left"),
            RenameField("item", "third", "right"),
        ],
        [add("left", number(default=1)), add("right", number(default=2))],
        {},
    ),
    "two tables swapped": [
        AlterModelTable("tag", "third"),
        AlterModelTable("group", "shop_tag"),
        AlterModelTable("tag", "shop_group"),
    ],
    "renamed and made again": [
        RenameField("item", "note", "old"),
        add("note", models.CharField(max_length=10, null=True)),
    ],
    "removed and made again": [RemoveField("item", "note"), add("note", models.CharField(max_length=10, null=True))],
    "renamed, its column kept": [
        AlterField("item", "note", models.CharField(max_length=10, null=True, db_column="note")),
        RenameField("item", "note", "remark"),
    ],
    "column renamed": [alter("note", models.CharField(max_length=10, null=True, db_column="remark"))],
    "model's options": [AlterModelOptions("item", {"ordering": ["name"], "verbose_name": "thing"})],
    "model's managers": [AlterModelManagers("item", [("objects", models.Manager())])],
    "model's comment": [AlterModelTableComment("item", "DROP TABLE items")],
    "model no longer managed": [AlterModelOptions("item", {"managed": False})],
    "order with respect to": [AlterOrderWithRespectTo("item", "group")],
    "order with respect to, gone": (
        [AlterOrderWithRespectTo("item", None)],
        [AlterOrderWithRespectTo("item", "group")],
        {},
    ),
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
    "many to many added": [add("more", models.ManyToManyField("shop.Tag", related_name="+"))],
    "many to many removed": [RemoveField("item", "tags")],
    "many to many renamed": [RenameField("item", "tags", "labels")],
    "many to many, another table": [alter("tags", models.ManyToManyField("shop.Tag", db_table="labels"))],
    "python that creates rows": ([RunPython(by_models)], [], {"changes_rows": True}),
    "python that does nothing": [RunPython(RunPython.noop)],
    "python that drops a column": [python("ALTER TABLE shop_group DROP COLUMN name")],
    "python that adds a column": [python("ALTER TABLE shop_group ADD COLUMN more integer NULL")],
    "python that adds a unique index": [python("CREATE UNIQUE INDEX u ON shop_group (name)")],
    "field with a default of now": [add("made", models.DateTimeField(db_default=Now()))],
    "inherited model's table gains a field": (
        [AddField("special", "extra", number(default=1))],
        [
            CreateModel(
                "Special",
                [
                    (
                        "item_ptr",
                        models.OneToOneField(
                            "shop.Item",
                            models.CASCADE,
                            parent_link=True,
                            primary_key=True,
                            auto_created=True,
                            serialize=False,
                        ),
                    )
                ],
                bases=("shop.item",),
            )
        ],
        {},
    ),
    "another model's field": (
        [AddField("person", "age", number(null=True)), AlterField("person", "born", models.DateField())],
        PERSON,
        {},
    ),
}
