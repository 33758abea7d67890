"""Files, written so that they last: whoever reads one, after a kill or a power cut too, finds it as it was or as it is
now. docs/files.md has the guarantees of each, and what none of them gives.

Standard library alone, and nothing of Django: the deployer's agent has files.py, too, and runs on Python 3.9.
"""

from .files import link_replace, write_replace
from .opened import LockedOpen

__all__ = ["LockedOpen", "link_replace", "write_replace"]
