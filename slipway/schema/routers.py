"""What DATABASE_ROUTERS keep from the database did not run in the build: nobody judged it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import router

UNJUDGED = "DATABASE_ROUTERS keeps {} from this database, so that the build did not run it"


@contextmanager
def noting_refusals() -> Iterator[set[str]]:
    """Give the names of models and apps that routers keep from the database in the block."""
    refused: set[str] = set()
    allows = router.allow_migrate

    def allow_migrate(db: str, app_label: str, **hints: Any) -> bool:
        allowed = allows(db, app_label, **hints)
        if not allowed:
            refused.add(".".join(filter(None, [app_label, hints.get("model_name")])))
        return bool(allowed)

    router.allow_migrate = allow_migrate  # type: ignore[method-assign]
    try:
        yield refused
    finally:
        del router.allow_migrate
