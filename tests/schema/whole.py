"""Cases of whole migrations, of one or more of Django's operations, on the models of a live release."""

from django.db import models
from django.db.migrations import (
    AddField,
    AlterField,
    AlterModelManagers,
    AlterModelOptions,
    AlterModelTable,
    AlterModelTableComment,
    AlterOrderWithRespectTo,
    CreateModel,
    DeleteModel,
    RemoveField,
    RenameField,
    RenameModel,
    RunPython,
    RunSQL,
    SeparateDatabaseAndState,
)
from django.db.models.functions import Now

from schema.live import KEY, OWN, add, alter, by_models, group, number, python, state_only

FLAG = add("flag", models.BooleanField(default=False))
MORE = [KEY, ("name", models.CharField(max_length=20))]

PERSON = [CreateModel("Person", [*MORE, ("born", models.DateField(null=True))])]
SPECIAL = CreateModel(
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
    "model created that inherits": [SPECIAL],
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
        [SPECIAL],
        {},
    ),
    "another model's field": (
        [AddField("person", "age", number(null=True)), AlterField("person", "born", models.DateField())],
        PERSON,
        {},
    ),
}
