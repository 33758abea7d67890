"""What a release does with its tables: its historical models insert, select, update and delete. The same steps run on
the old tables and on those after a migration; a step that fails there, or reads another value, breaks the release."""

from contextlib import nullcontext

from django.db import transaction
from django.db.models import NOT_PROVIDED
from django.db.models.fields.files import FieldFile

from schema.values import TEXTS, CannotFill, edges_of, is_given, is_needed, value_of

DEEP = 4  # so many rows that need each other
APART = 20  # so many values that must differ has a step
FAILED = "failed: "
OK = "ok"
PART = " of "  # a step that is taken only if the one for all fields fails
CHOSEN = "chosen by the database"
UNSORTED = ("JSONField", "BinaryField", "HStoreField")


def outcome_of(query):
    """Return OK if the query finds rows, else ""."""
    return OK if query else ""


class Release:
    """The models of a release at work. `outcomes`: step → "ok", what was read instead, or the error. `rows`: the
    model's label and the row's name → the instance, and what was written of it. `expected`: outcomes on the release's
    own tables; what failed there is not tried: a row that they refused would be in the way of others. They end at the
    first step that comes out otherwise."""

    def __init__(self, models, expected=None):
        usual = [model for model in models if not (model._meta.proxy or model._meta.swapped)]
        self.models = [model for model in usual if not model._meta.auto_created]
        self.outcomes, self.rows, self.steps, self.number = {}, {}, 0, 0
        self.expected = expected or {}
        self.never = {step for step, outcome in self.expected.items() if outcome.startswith(FAILED)}
        self.ended = False  # at the first step that came out otherwise than expected

    def step(self, name, action):
        """Run a step, and note what comes out. If nothing is expected, it has a transaction of its own, and the next
        one follows even if it fails. Return what came out."""
        self.steps += 1
        self.number = self.steps * APART  # the same values in each run, whatever fails; an odd one: another row's key
        if self.ended or name in self.never:
            return FAILED
        rows = {*self.rows}
        try:
            with nullcontext() if self.expected else transaction.atomic():
                outcome = action() or OK
        except Exception as error:
            self.rows = {key: row for key, row in self.rows.items() if key in rows}
            outcome = FAILED + f"{type(error).__name__}: {error}".partition("\n")[0]
        self.outcomes[name] = outcome
        self.ended = name in self.expected and is_otherwise(name, self.expected[name], outcome)
        return outcome

    def next(self):
        self.number += 1
        return self.number

    # Rows

    def insert_all(self):
        for model in self.models:
            for name, values in self.recipes(model):
                self.step(f"{model._meta.label}: insert {name}", lambda: self.insert(model, name, values()))
        for model in self.models:
            for field in model._meta.local_many_to_many:
                self.step(f"{model._meta.label}: add to {field.name}", lambda: self.add(model, field))

    def recipes(self, model):
        """Yield names of rows, and functions that return their values."""
        fields = given_fields(model)
        needed = [field for field in fields if is_needed(field)]
        yield "plain", lambda: self.values(fields, 0)
        yield "again", lambda: self.values(fields, 0)
        yield "least", lambda: self.values(needed, self.next())
        yield "none", lambda: self.values(fields, self.next()) | {field.attname: None for field in fields if field.null}
        for place in (0, 1):
            yield f"edge {place}", lambda: self.values(fields, self.next()) | edges(fields, place)
        for field in fields:
            if not field.unique:
                yield f"same {field.name}", lambda: self.values(fields, self.next()) | self.values([field], 0)
                yield f"other {field.name}", lambda: self.values(fields, 0) | self.values([field], self.next() | 1)

    def values(self, fields, number, depth=0):
        """Return values for these fields, those of unique ones different each time."""
        return {field.attname: self.value(field, self.next() if field.unique else number, depth) for field in fields}

    def value(self, field, number, depth=0):
        if not field.remote_field:
            return value_of(field, number)
        if field.null and (depth or field.remote_field.model is field.model):
            return None
        target = self.target(field.remote_field.model, number if field.unique else number % 2, depth + 1)
        return getattr(target, field.target_field.attname)

    def target(self, model, number, depth):
        """Return a row for others to refer to, a new one the first time."""
        key = model._meta.label, f"target {number}"
        if key not in self.rows:
            if depth > DEEP:
                raise CannotFill(f"{model._meta.label}: too many rows need each other")
            self.insert(model, key[1], self.values(given_fields(model), self.next() + 100, depth))
        return self.rows[key][0]

    def insert(self, model, name, values):
        row = model(**values)
        row.save(force_insert=True)
        fields = [field for field in model._meta.concrete_fields if not is_left_out(field, values)]
        self.rows[model._meta.label, name] = row, {field.attname: written_value(field, row) for field in fields}

    def add(self, model, field):
        if field.remote_field.through._meta.auto_created:
            row, _ = self.rows[model._meta.label, "plain"]
            target = self.target(field.remote_field.model, 1, 1)
            getattr(row, field.name).add(target)
            return OK if [each.pk for each in getattr(row, field.name).all()] == [target.pk] else "not there"
        return OK

    # Their use

    def use_all(self, updates=True):
        for model in self.models:
            self.read_all(model)
            if (model._meta.label, "plain") in self.rows:
                self.find_all(model)
                if updates:
                    self.update_all(model)
                self.step(f"{model._meta.label}: save", lambda: self.save(model))
        for model in reversed(self.models):
            for name in ("least", "plain"):
                if (model._meta.label, name) in self.rows:
                    self.step(f"{model._meta.label}: delete {name}", lambda: self.delete(model, name))
            self.step(f"{model._meta.label}: delete the rest", lambda: model._base_manager.all().delete() and OK)

    def read_all(self, model):
        label, fields = model._meta.label, model._meta.concrete_fields
        sorted_by = [field.attname for field in fields if field.get_internal_type() not in UNSORTED]
        self.step(f"{label}: all", lambda: self.compare(model))
        self.step(f"{label}: {CHOSEN}", lambda: self.chosen(model))
        self.step(f"{label}: sort", lambda: outcome_of(model._base_manager.order_by(*sorted_by)[:3]))
        for field in fields:
            if field.remote_field:
                query = model._base_manager.select_related(field.name)
                self.step(f"{label}: join {field.name}", lambda: outcome_of(query.all()))

    def compare(self, model):
        """Compare what was written with what the table has."""
        rows = {row[model._meta.pk.attname]: row for row in model._base_manager.values()}
        lines = []
        for (label, name), (row, written) in self.rows.items():
            if label == model._meta.label:
                lines.append(f"{name}: {differences(rows[row.pk], written)}" if row.pk in rows else f"no {name}")
        return "; ".join(line for line in lines if not line.endswith(": "))

    def chosen(self, model):
        """Return the types of the values that the release left out. If it can write none: those of all values."""
        given = {row.pk: written for (label, _), (row, written) in self.rows.items() if label == model._meta.label}
        types = {}
        for row in model._base_manager.values():
            for name, value in row.items():
                if not given or name not in given.get(row[model._meta.pk.attname], row):
                    types.setdefault(name, set()).add(type(value).__name__)
        return ", ".join(f"{name} {'/'.join(sorted(kinds))}" for name, kinds in sorted(types.items()))

    def find_all(self, model):
        """Look for a row by all of its columns; if it is not found so, by each of them."""
        _, written = self.rows[model._meta.label, "plain"]
        found = [field for field in model._meta.concrete_fields if written.get(field.attname) is not None]
        for lookup in ("", "__in", "__gte", "__icontains", "__n"):
            fields = [field for field in found if lookup in lookups(field)]
            step = f"find{lookup}"
            if self.find(model, fields, lookup, step) != OK:
                for field in fields:
                    self.find(model, [field], lookup, f"{step}{PART}{field.name}")

    def find(self, model, fields, lookup, name):
        _, written = self.rows[model._meta.label, "plain"]
        values = {
            field.attname + lookup: [written[field.attname]] if lookup == "__in" else sought(written, field, lookup)
            for field in fields
        }
        query = model._base_manager.filter(**values)
        return self.step(f"{model._meta.label}: {name}", lambda: OK if query.exists() else "not found")

    def update_all(self, model):
        """Give a row's columns other values; if they do not all take it, to one after the other."""
        fields = [field for field in given_fields(model) if not field.primary_key]
        plain = [field for field in fields if not field.remote_field]
        self.update(model, "others", {field: self.value(field, self.next()) for field in plain})
        self.update(model, "null", {field: None for field in fields if field.null})
        for place in range(max((len(edges_of(field)) for field in plain), default=0)):
            self.update(model, f"edge {place}", {f: edges_of(f)[place] for f in plain if len(edges_of(f)) > place})
        for field in fields:
            if field.remote_field:
                self.step(
                    f"{model._meta.label}: another {field.name}",
                    lambda: self.change(model, {field: self.value(field, self.next() | 1)}),
                )
                self.update(model, "missing", {field: edges_of(field)[0]})

    def update(self, model, name, values):
        outcome = self.step(f"{model._meta.label}: update to {name}", lambda: self.change(model, values))
        if outcome != OK and len(values) > 1:
            for field, value in values.items():
                self.update(model, f"{name}{PART}{field.name}", {field: value})

    def change(self, model, values):
        if not values:
            return OK
        row, _ = self.rows[model._meta.label, "plain"]
        written = {field.attname: value for field, value in values.items()}
        model._base_manager.filter(pk=row.pk).update(**written)
        return differences(model._base_manager.filter(pk=row.pk).values(*written).get(), written)

    def save(self, model):
        row, _ = self.rows[model._meta.label, "plain"]
        row.save(force_update=True)
        return ""

    def delete(self, model, name):
        row, _ = self.rows[model._meta.label, name]
        row.delete()
        return ""


def given_fields(model):
    return [
        field
        for field in model._meta.concrete_fields
        if is_given(field) and not getattr(field.remote_field, "parent_link", False)
    ]


def written_value(field, row):
    value = field.value_from_object(row)
    return value.name if isinstance(value, FieldFile) else value


def is_left_out(field, values):
    """Return True if the database chooses the value."""
    return not is_given(field) or (field.attname not in values and field.db_default is not NOT_PROVIDED)


def edges(fields, place):
    """Return for each field that has such its first or second edge."""
    usual = [field for field in fields if not (field.unique or field.remote_field or len(edges_of(field)) <= place)]
    return {field.attname: edges_of(field)[place] for field in usual}


def lookups(field):
    kind = field.get_internal_type()
    if kind == "JSONField":
        return ("", "__n")
    if kind in TEXTS:
        return ("", "__in", "__icontains")
    return ("",) if kind in (*UNSORTED, "BooleanField", "ArrayField") else ("", "__in", "__gte")


def sought(written, field, lookup):
    value = written[field.attname]
    return value["n"] if lookup == "__n" else value


def differences(row, written):
    """Return the columns that have another value than what was written, or one of another type; "" if none has."""
    return ", ".join(
        f"{name}: {type(row[name]).__name__} for {type(value).__name__}"
        for name, value in sorted(written.items())
        if row[name] != value or not is_of_type(value, type(row[name]))
    )


def is_of_type(value, kind):
    return type(value) is kind or (isinstance(value, kind) and not isinstance(value, bool))


def breaks(release):
    """Return the step that came out otherwise than expected, with what came out; [] if none did."""
    if not release.ended:
        return []
    step, outcome = [*release.outcomes.items()][-1]
    return [f"{step}: {outcome}"]


def is_otherwise(step, before, after):
    """Return True if a step comes out otherwise. What nobody wrote any more has no type."""
    if not step.endswith(CHOSEN) or after.startswith(FAILED):
        return before != after
    old, new = (dict(line.split(" ") for line in lines.split(", ") if " " in line) for lines in (before, after))
    return any(new[name] != kinds for name, kinds in old.items() if name in new)
