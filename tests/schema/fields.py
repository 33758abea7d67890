"""Fields that migrations add, alter and remove: each a function, as a field belongs to one model."""

import datetime
import uuid
from functools import partial

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F
from django.db.models.functions import Length, Now, Upper

CASCADE = models.CASCADE
OWN = "postgresql"
integer = partial(models.IntegerField)
text = models.TextField


def char(length=10, **options):
    return models.CharField(max_length=length, **options)


def decimal(digits=6, places=2, **options):
    return models.DecimalField(max_digits=digits, decimal_places=places, **options)


def key(to="Group", **options):
    return models.ForeignKey(f"shop.{to}", CASCADE, **options)


def one(to="Group", **options):
    return models.OneToOneField(f"shop.{to}", CASCADE, **options)


def generated(expression, output, persist=True, **options):
    return models.GeneratedField(expression=expression, output_field=output, db_persist=persist, **options)


TYPES = {  # name → (the field, a default)
    "boolean": (models.BooleanField, False),
    "char": (char, "x"),
    "text": (text, ""),
    "integer": (integer, 0),
    "big integer": (models.BigIntegerField, 2**40),
    "positive": (models.PositiveIntegerField, 1),
    "decimal": (decimal, 1),
    "float": (models.FloatField, 0.5),
    "date": (models.DateField, datetime.date(2020, 1, 1)),
    "time": (models.TimeField, datetime.time(1)),
    "duration": (models.DurationField, datetime.timedelta(1)),
    "uuid": (models.UUIDField, uuid.UUID(int=5)),
    "json": (models.JSONField, dict),
    "slug": (models.SlugField, "x"),
    "file": (models.FileField, ""),
    "address": (models.GenericIPAddressField, "10.0.0.1"),
}


def ways(name, make, default):
    """Yield names and makers of the ways in which a field of this type can be added."""
    value = {} if default is dict else default
    yield f"{name} null", partial(make, null=True)
    yield f"{name} default", partial(make, default=default)
    if name not in ("json", "address"):
        yield f"{name} db_default", partial(make, db_default=value)
    yield f"{name} null default", partial(make, null=True, default=default)


ADDED = {label: way for name, words in TYPES.items() for label, way in ways(name, *words)} | {
    "null unique": partial(char, null=True, unique=True),
    "null index": partial(char, null=True, db_index=True),
    "db_default unique": partial(char, db_default="x", unique=True),
    "null db_default": partial(integer, null=True, db_default=1),
    "null db_default unique": partial(integer, null=True, db_default=1, unique=True),
    "both defaults": partial(integer, default=1, db_default=2),
    "positive whose db_default fails": partial(models.PositiveIntegerField, db_default=-1),
    "blank": partial(text, blank=True, default=""),
    "now": partial(models.DateTimeField, auto_now=True, null=True),
    "now as default": partial(models.DateTimeField, db_default=Now()),
    "key null": partial(key, null=True, related_name="+"),
    "key default": partial(key, default=1, related_name="+"),
    "key db_default": partial(key, db_default=1, related_name="+"),
    "key without constraint": partial(key, default=1, db_constraint=False, related_name="+"),
    "key null to itself": partial(key, "Item", null=True),
    "one to one null": partial(one, null=True, related_name="+"),
    "one to one default": partial(one, default=1, related_name="+"),
    "generated": partial(generated, F("count") + 1, models.BigIntegerField()),
    "generated that fails": partial(generated, 100 / (F("count") - 1), models.IntegerField()),
    "generated from text": partial(generated, Upper("name"), text()),
    "column of another name": partial(integer, null=True, db_column="Other Name"),
    "column of another name, default": partial(integer, default=1, db_column="select"),
    "comment": partial(integer, null=True, db_comment="DROP COLUMN name NOT NULL"),
}

DROPPED = {
    "char": char,
    "null": partial(char, null=True),
    "db_default": partial(integer, db_default=1),
    "unique": partial(char, unique=True),
    "index": partial(char, db_index=True),
    "key": key,
    "key null": partial(key, null=True),
    "json": partial(models.JSONField, default=dict),
    "generated": partial(generated, Length("name"), integer()),
    "in a column of another name": partial(char, db_column="Camel"),
}

KEPT = {"null": partial(integer, null=True), "db_default": partial(integer, db_default=7)}

F10, F20, N10 = char, partial(char, 20), partial(char, null=True)
INT, BIG, SMALL = integer, models.BigIntegerField, models.SmallIntegerField
POSITIVE = models.PositiveIntegerField
DEC = decimal
DATE, TIME, STAMP = models.DateField, models.TimeField, models.DateTimeField
UUID, JSON, FLOAT, FLAG = models.UUIDField, models.JSONField, models.FloatField, models.BooleanField

# Name → (old field, new field, databases if not both).
CHANGED = {
    # Texts
    "char longer": (F10, F20),
    "char shorter": (F20, F10),
    "char to text": (F10, text),
    "char without length": (F10, partial(models.CharField), OWN),
    "text to char": (text, F20),
    "char to slug": (F10, partial(models.SlugField, max_length=10)),
    "char to slug, longer": (F10, partial(models.SlugField, max_length=20)),
    "char to email": (F10, models.EmailField),
    "char to file": (F10, partial(models.FileField, max_length=10)),
    "char to uuid": (partial(char, 36), UUID, "sqlite"),
    "uuid to char": (UUID, partial(char, 36)),
    "uuid to char, short": (UUID, partial(char, 32)),
    "json to text": (JSON, text),
    "address to char": (models.GenericIPAddressField, partial(char, 39)),
    "char null to text": (N10, text),
    "char with another collation": (F10, partial(char, db_collation="C"), OWN),
    "char without case": (F10, partial(char, db_collation="nocase"), "sqlite"),
    # Numbers
    "integer to big": (INT, BIG),
    "big to integer": (BIG, INT),
    "integer to small": (INT, SMALL),
    "small to integer": (SMALL, INT),
    "integer to positive": (INT, POSITIVE),
    "positive to integer": (POSITIVE, INT),
    "positive to big positive": (POSITIVE, models.PositiveBigIntegerField),
    "positive to small positive": (POSITIVE, models.PositiveSmallIntegerField),
    "integer to char": (INT, F10),
    "integer to text": (INT, text),
    "integer to float": (INT, FLOAT),
    "big to float": (BIG, FLOAT),
    "float to integer": (FLOAT, INT),
    "integer to decimal": (INT, partial(decimal, 12, 0)),
    "integer to decimal with places": (INT, partial(decimal, 14, 2)),
    "decimal to integer": (DEC, INT),
    "decimal to float": (DEC, FLOAT),
    "float to decimal": (FLOAT, partial(decimal, 12, 6)),
    "decimal with more digits": (DEC, partial(decimal, 8)),
    "decimal with fewer digits": (partial(decimal, 8), DEC),
    "decimal with more places": (DEC, partial(decimal, 6, 4)),
    "decimal with more of both": (DEC, partial(decimal, 9, 4)),
    "decimal with fewer places": (partial(decimal, 8, 4), partial(decimal, 8, 2)),
    "integer to boolean": (INT, FLAG, "sqlite"),
    "boolean to integer": (FLAG, INT, "sqlite"),
    "boolean to char": (FLAG, F10),
    "boolean to null boolean": (FLAG, partial(FLAG, null=True)),
    # Times
    "date to stamp": (DATE, STAMP),
    "stamp to date": (STAMP, DATE),
    "time to char": (TIME, F20),
    "date to char": (DATE, F20),
    "duration to big integer": (models.DurationField, BIG, "sqlite"),
    # Arrays
    "array longer": (partial(ArrayField, char()), partial(ArrayField, char(20)), OWN),
    "array shorter": (partial(ArrayField, char(20)), partial(ArrayField, char(1)), OWN),
    "array to text": (partial(ArrayField, char()), text, OWN),
    # NULL
    "null": (F10, N10),
    "not null": (N10, partial(char, default="x")),
    "not null, without default": (N10, F10),
    "not null, db_default": (N10, partial(char, db_default="x")),
    "not null, longer": (N10, partial(char, 20, default="")),
    "not null key": (partial(key, null=True), partial(key, default=1)),
    "null key": (key, partial(key, null=True)),
    # Defaults
    "default": (INT, partial(INT, default=5)),
    "db_default": (INT, partial(INT, db_default=5)),
    "db_default changed": (partial(INT, db_default=5), partial(INT, db_default=6)),
    "db_default gone": (partial(INT, db_default=5), INT),
    "db_default gone, default": (partial(INT, db_default=5), partial(INT, default=5)),
    "db_default gone, null": (partial(INT, db_default=5), partial(INT, null=True)),
    "null db_default gone": (partial(INT, db_default=5, null=True), partial(INT, null=True)),
    "flag's db_default gone": (partial(FLAG, db_default=False), partial(FLAG, default=False)),
    "db_default of now gone": (partial(STAMP, db_default=Now()), partial(STAMP, auto_now_add=True)),
    # Constraints and indexes
    "unique": (F10, partial(char, unique=True)),
    "unique null": (N10, partial(char, unique=True, null=True)),
    "unique flag": (FLAG, partial(FLAG, unique=True)),
    "unique gone": (partial(char, unique=True), F10),
    "unique longer": (partial(char, unique=True), partial(char, 20, unique=True)),
    "index": (F10, partial(char, db_index=True)),
    "index gone": (partial(char, db_index=True), F10),
    "unique to index": (partial(char, unique=True), partial(char, db_index=True)),
    "index to unique": (partial(char, db_index=True), partial(char, unique=True)),
    # Keys
    "integer to key": (BIG, partial(key, db_column="field")),
    "null integer to null key": (partial(BIG, null=True), partial(key, null=True, db_column="field")),
    "integer to key, another column": (BIG, key),
    "integer to key without constraint": (BIG, partial(key, db_column="field", db_constraint=False)),
    "key to integer": (partial(key, db_column="field"), BIG),
    "key to integer, another column": (key, BIG),
    "key gets its constraint": (partial(key, db_constraint=False), key),
    "null key gets its constraint": (partial(key, null=True, db_constraint=False), partial(key, null=True)),
    "key loses its constraint": (key, partial(key, db_constraint=False)),
    "key to one to one": (key, one),
    "one to one to key": (one, key),
    "key to unique key": (key, partial(key, unique=True)),
    "key to another model": (key, partial(key, "Item", related_name="+")),
    "key loses its index": (key, partial(key, db_index=False)),
    "key on delete": (key, partial(models.ForeignKey, "shop.Group", models.PROTECT)),
    "key related name": (key, partial(key, related_name="things")),
    # What the database does not see
    "choices": (F10, partial(char, choices=[("a", "A")])),
    "verbose name": (F10, partial(char, verbose_name="NOT NULL")),
    "help text": (F10, partial(char, help_text="ALTER TABLE")),
    "comment": (F10, partial(char, db_comment="DROP TABLE x")),
    "column": (F10, partial(char, db_column="kode")),
    "column, its name": (F10, partial(char, db_column="field")),
    "auto_now": (STAMP, partial(STAMP, auto_now=True)),
}
KEYS = {  # the primary key
    "key to big": (models.AutoField, models.BigAutoField),
    "key to small": (models.BigAutoField, models.AutoField),
    "key by hand": (models.BigAutoField, models.BigIntegerField),
    "key to text": (models.BigAutoField, partial(char, 20)),
}
