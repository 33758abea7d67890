"""Env files as the image reads them; on a host the bundle has project/ops/envfile.py itself under this name."""

from project.ops.envfile import read

__all__ = ["read"]
