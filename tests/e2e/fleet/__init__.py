"""A fleet of test servers in containers, and a load generator. CONTRIBUTING.md tells how to use it."""

from .docker import FleetError
from .fleet import Fleet, attach, down, up
from .host import Host, Registry, Services

__all__ = ["Fleet", "FleetError", "Host", "Registry", "Services", "attach", "down", "up"]
