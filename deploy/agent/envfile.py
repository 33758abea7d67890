"""A stub: the grammar is in project/ops/envfile.py, which the bundle has under this name."""

from project.ops.envfile import read

__all__ = ["read"]
