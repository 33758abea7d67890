"""Cases of Django's own operations: each with the old and the new states that people go from and to."""

from functools import cache, partial

from django.db import models
from django.db.migrations import AddConstraint, AddField, AlterField, CreateModel, RemoveField, RenameField
from django.db.models import Q

from schema.cases import Case
from schema.constraints import CONSTRAINTS
from schema.fields import ADDED, CHANGED, DROPPED, KEPT, KEYS
from schema.live import KEY, group, live, state_only
from schema.whole import WHOLE


@cache
def with_field(make):
    """Return the operations of a release with an item that has this field."""
    return [group(), CreateModel("Item", [KEY, ("name", models.CharField(max_length=10)), ("field", make())])]


@cache
def with_key(make):
    return [CreateModel("Item", [("id", make(primary_key=True)), ("name", models.CharField(max_length=10))])]


@cache
def without_use(make):
    """Return the operations of a release that no longer uses a field, which the table still has."""
    return [*with_field(make), state_only(RemoveField("item", "field"))]


def operations():
    """Yield all cases."""
    for name, make in ADDED.items():
        yield Case(f"add {name}", live(), [AddField("item", "new", make())])
    for name, (old, new, *vendors) in CHANGED.items():
        yield Case(f"alter {name}", with_field(old), [AlterField("item", "field", new())], **of(vendors))
    for name, (old, new) in KEYS.items():
        yield Case(f"alter {name}", with_key(old), [AlterField("item", "id", new(primary_key=True))])
    for name, make in DROPPED.items():
        yield Case(f"remove {name}", with_field(make), [RemoveField("item", "field")])
        yield Case(f"rename {name}", with_field(make), [RenameField("item", "field", "other")])
    for name, make in KEPT.items():
        back = state_only(AddField("item", "field", make()))
        yield Case(f"unused {name}: removed", without_use(make), [back, RemoveField("item", "field")])
        for change, new in unused_changes(make()):
            yield Case(f"unused {name}: {change}", without_use(make), [back, new])
    for part, cases in (("models", WHOLE), ("constraints", CONSTRAINTS)):
        for name, words in cases.items():
            new, old, more = words if isinstance(words, tuple) else (words, (), {})
            yield Case(name, [*live(), *old] if old else live(), [*new], part=part, **more)


def of(vendors):
    return {"vendors": tuple(vendors)} if vendors else {}


def unused_changes(field):
    alter, number = partial(AlterField, "item", "field"), models.IntegerField
    key = models.ForeignKey("shop.Group", models.CASCADE, null=True, db_column="field")
    yield "not null", alter(number(default=0))
    yield "unique", alter(number(null=True, unique=True))
    yield "text", alter(models.TextField(null=True))
    yield "another default", alter(number(db_default=9))
    yield "default gone", alter(number(null=field.null))
    yield "checked", AddConstraint("item", models.CheckConstraint(condition=Q(field__gt=5), name="c"))
    yield "foreign", alter(key)
