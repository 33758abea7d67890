"""Check the Python that runs make's helpers. It may be an old one: use only old syntax and the standard library."""

import shutil
import sys
from importlib.util import find_spec


def lacks(python: str, least: str) -> str:
    """Return what this Python, which the user calls `python`, lacks, and the cure: an age (`least`, such as "3.11"), or
    venv. Return "" if it lacks nothing."""
    own, oldest = sys.version_info, int(least.split(".")[1])
    if own < (3, oldest):
        newer = [name for name in map("python3.{}".format, range(oldest, 20)) if shutil.which(name)]
        return "{} is Python {}.{}.{}, and this project needs {} or newer: {}run make PYTHON={}".format(
            python, *own[:3], least, "" if newer else "install one, then ", newer[-1] if newer else "python" + least
        )
    if not (find_spec("venv") and find_spec("ensurepip")):  # Debian has the second one in another package
        return "{} lacks the venv module: apt install python{}.{}-venv (or python3-venv), then run make again".format(
            python, *own
        )
    return ""
