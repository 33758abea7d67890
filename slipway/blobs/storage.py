"""Names that migrations of projects hold."""

from ..files.storage import DatabaseStorage

__all__ = ["DatabaseStorage"]
