"""The old name of slipway.files.storage. Migrations of projects import it."""

from ..files.storage import DatabaseStorage

__all__ = ["DatabaseStorage"]
