"""The old name of slipway.files. Migrations of projects import it."""

from ..files import small_enough

__all__ = ["small_enough"]
