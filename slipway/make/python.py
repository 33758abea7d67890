"""Check the Python that runs make's helpers. It may be an old one: use only old syntax and the standard library."""

import contextlib
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Optional, Tuple

Lack = Tuple[str, str]  # (problem, remedy)


def lacks(python: str, least: str) -> Optional[Lack]:
    """Return what this Python, which the user calls `python`, lacks: an age (`least`, such as "3.11"), or venv."""
    own, oldest = sys.version_info, int(least.split(".")[1])
    if own < (3, oldest):
        newer = [name for name in map("python3.{}".format, range(oldest, 20)) if shutil.which(name)]
        return ("{} is Python {}.{}.{}, and this project needs {} or newer".format(python, *own[:3], least),
                "run make PYTHON=" + newer[-1] if newer else "install one, then run make PYTHON=python" + least)
    if not pip_wheel():
        return ("{} lacks the venv module".format(python),
                "apt install python{}.{}-venv (or python3-venv), then run make again".format(*own))
    return None


def pip_wheel() -> Optional[Path]:
    """Return Python's pip wheel; None if it, ensurepip or venv is missing. Debian keeps the wheel outside ensurepip."""
    folders = [sysconfig.get_config_var("WHEEL_PKG_DIR"), Path(sysconfig.get_path("stdlib"), "ensurepip/_bundled")]
    with contextlib.suppress(ImportError):
        import ensurepip  # noqa: F401 - Debian without python3-venv may have the wheel, but not this
        import venv  # noqa: F401
        wheels = [wheel for folder in folders if folder for wheel in Path(folder).glob("pip-*.whl")]
        return wheels[0] if wheels else None
    return None
