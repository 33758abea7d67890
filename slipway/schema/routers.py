"""What DATABASE_ROUTERS keep from the default database: that did not run in the build, and nobody judged it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, router
from django.db.utils import ConnectionRouter

UNJUDGED = "DATABASE_ROUTERS keeps {} from this database, so that the build did not run it"


def is_here(model: Any) -> bool:
    """Return True if a model's rows are in the default database, or if its router cannot tell in the build."""
    try:
        return bool(router.db_for_write(model) == DEFAULT_DB_ALIAS)
    except Exception:
        return True


class Noting:
    """A router that asks the others, and notes what they refuse: models, and apps for SQL and Python."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.others = ConnectionRouter([*router.routers])

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        allowed = bool(self.others.allow_migrate(db, app_label, **hints))
        if not allowed:
            self.refused.add(".".join(filter(None, [app_label, hints.get("model_name")])))
        return allowed


@contextmanager
def noting_refusals() -> Iterator[set[str]]:
    """Give the names of models and apps that routers keep from the database in the block."""
    noting = Noting()
    router.routers.insert(0, noting)
    try:
        yield noting.refused
    finally:
        router.routers.remove(noting)
