"""Names that migrations of projects hold."""

from ..files import small_enough

__all__ = ["small_enough"]
