"""Remove the virtualenv and caches. Data in var/ and .env stay."""

import os
import shutil
import sys
from pathlib import Path

from slipway.make import virtualenv

CACHES = {"__pycache__", ".pytest_cache", ".mypy_cache", ".hypothesis"}
KEPT = {".git", ".venv", "var", "node_modules"}


def main(ve: str) -> None:
    try:
        if Path(ve, "pyvenv.cfg").exists() and not os.path.islink(ve):  # else make did not make it
            virtualenv.empty(Path(ve))
            shutil.rmtree(ve)
            Path(ve + ".lock").unlink(missing_ok=True)
        for folder, folders, _ in os.walk("."):
            for name in CACHES & {*folders}:
                shutil.rmtree(Path(folder, name))
            folders[:] = {*folders} - CACHES - KEPT
    except OSError as error:
        sys.exit(f"make: {error.filename}: {error.strerror}: run make clean as the owner of these files")


if __name__ == "__main__":
    main(os.environ["VE"])
