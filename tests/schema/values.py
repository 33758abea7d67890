"""Values that a field of a historical model takes: one that differs for each number, and those at the edges."""

import datetime
import decimal
import uuid

from django.db import connection, models

TEXTS = ("SlugField", "FileField", "FilePathField", "CharField", "TextField", "ImageField", "EmailField", "URLField")
INTEGERS = (
    "IntegerField",
    "BigIntegerField",
    "SmallIntegerField",
    "PositiveIntegerField",
    "PositiveBigIntegerField",
    "PositiveSmallIntegerField",
    "AutoField",
    "BigAutoField",
    "SmallAutoField",
)
MISSING = 29_000  # the number of a row that nobody makes
LONG = 5000  # characters: longer than any limit that a migration could set
UTC = datetime.UTC


class CannotFill(Exception):
    """No value is known for a field."""


def value_of(field, number):
    """Return a usual value, another one for each number."""
    if field.remote_field:
        return value_of(field.target_field, number)
    if field.flatchoices:
        choices = [value for value, _ in field.flatchoices]
        return choices[number % len(choices)]
    return value_of_type(field, number)


def value_of_type(field, number):
    kind = field.get_internal_type()
    base = getattr(field, "base_field", None)
    if kind in INTEGERS:
        return number % 30000 + 1
    if kind in TEXTS:
        return word(number)[: field.max_length]
    if kind == "ArrayField":
        return [value_of(base, number)]
    if kind == "HStoreField":
        return {word(number): word(number)}
    make = MAKERS.get(kind)
    if make is None:
        raise CannotFill(f"{field.model._meta.label}.{field.name}: {kind}")
    return make(number)


def word(number):
    """Return letters that no other number has; short ones come first."""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters


MAKERS = {
    "BooleanField": lambda number: number % 2 == 0,
    "DateField": lambda number: datetime.date(2001, 2, 3) + datetime.timedelta(number),
    "DateTimeField": lambda number: datetime.datetime(2001, 2, 3, 4, 5, 6, 789, UTC) + datetime.timedelta(number),
    "TimeField": lambda number: datetime.time(4, 5, number % 60, number),
    "DurationField": lambda number: datetime.timedelta(number, 5, 7),
    "DecimalField": lambda number: decimal.Decimal(number % 9),
    "FloatField": lambda number: number + 0.5,
    "UUIDField": lambda number: uuid.UUID(int=number + 2**120),
    "JSONField": lambda number: {"n": number},
    "BinaryField": lambda number: b"\x00\xff%d" % number,
    "GenericIPAddressField": lambda number: f"10.0.{number // 250}.{number % 250 + 1}",
    "IPAddressField": lambda number: f"10.0.{number // 250}.{number % 250 + 1}",
}


def edges_of(field):
    """Return values at the edges of what the field takes, and such as other types do not take."""
    if field.flatchoices:
        return []
    if base := getattr(field, "base_field", None):
        return [[], *([edge] for edge in edges_of(base))] if field.get_internal_type() == "ArrayField" else []
    if field.remote_field:
        return [value_of(field.target_field, MISSING)]
    kind = field.get_internal_type()
    if kind in INTEGERS:
        low, high = connection.ops.integer_field_range(kind)
        return [value for value in (low, high, -1, 0, 7_654_321) if value is not None and low <= value <= high]
    if kind in TEXTS:
        most = field.max_length or LONG
        texts = ("é" * most, "007", "", "Z-1 '\"%", "true", f"{'b' * (most - 1)} ")
        return [text for text in texts if len(text) <= most]
    if kind == "DecimalField":
        most = decimal.Decimal(10 ** (field.max_digits - field.decimal_places))
        step = decimal.Decimal(1).scaleb(-field.decimal_places)
        return [most - step, step - most, step]
    return [value for value in EDGES.get(kind, ()) if value is not None]


EDGES = {
    "BooleanField": (True, False),
    "DateField": (datetime.date.min, datetime.date.max),
    "DateTimeField": (
        datetime.datetime(1, 1, 2, tzinfo=UTC),
        datetime.datetime(9999, 12, 30, 23, 59, 59, 999999, UTC),
    ),
    "TimeField": (datetime.time.min, datetime.time.max),
    "DurationField": (datetime.timedelta(-9999), datetime.timedelta(99999, 3, 999999)),
    "FloatField": (-1.5e300, 2.0, 0.1),
    "UUIDField": (uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)),
    "JSONField": ([], {}, "text", 1.5, [{"n": "é"}], True),
    "BinaryField": (b"", bytes(range(256)) * 20),
    "GenericIPAddressField": ("255.255.255.255", "2001:db8::1"),
}


def is_given(field):
    """Return True if an INSERT may give this field's value, and does not leave it to the database."""
    return not (field.generated or isinstance(field, models.AutoField))


def is_needed(field):
    """Return True if a row cannot be made without a value for this field."""
    has_default = field.has_default() and field.default is not None
    free = field.null or has_default or field.db_default is not models.NOT_PROVIDED
    free = free and not (field.remote_field and not field.null)  # the code of a default may need another state
    return is_given(field) and not free
