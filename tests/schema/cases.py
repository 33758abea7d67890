"""A case of the corpus: the state of a release, and a migration that comes next."""

from dataclasses import dataclass, field

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

APP = "shop"
PARTS = ("fields", "models", "constraints", "sql", "prepared")


@dataclass
class Case:
    """`base`: the operations that lead to the live release; `operations`: the migration that it meets."""

    name: str
    base: list[Operation]
    operations: list[Operation]
    atomic: bool = True
    changes_rows: bool = False  # it is meant to change values, so that those of old rows are not compared
    vendors: tuple[str, ...] = ("postgresql", "sqlite")
    part: str = "fields"  # of the corpus


def migration(operations, atomic=True, number=1):
    made = migrations.Migration(f"{number:04}", APP)
    made.operations, made.atomic = operations, atomic
    return made


@dataclass
class Base:
    """A live release: its state, and after it the models."""

    operations: list[Operation]
    state: ProjectState = field(init=False)

    def __post_init__(self):
        self.state = migration(self.operations).mutate_state(ProjectState(), preserve=False)
        self.state.apps  # noqa: B018  rendered once, for all cases of this base
        self.models = self.state.apps.get_models(include_auto_created=True)
        self.outcomes = {}
