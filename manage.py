#!/usr/bin/env python3
"""Django's command line. It runs in the project's virtualenv, from any folder."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    here, own = Path(__file__).resolve().parent, os.environ.get("VE")
    # make's (VE); else the image's, else this folder's, else that of `uv sync`.
    places = [here / own] if own else [Path("/ve"), here / "ve", here / ".venv"]
    ve = next((place for place in places if (place / "bin/python").exists()), None)
    if ve is None:
        sys.exit(f"manage.py: there is no virtualenv yet: run make in {here}")
    python = str(ve / "bin/python")
    # If another python runs this, restart with the virtualenv's. Paths to it may differ, so compare sys.prefix, too.
    if sys.executable != python and not os.path.samefile(sys.prefix, str(ve)):
        os.execv(python, [python, str(here / "manage.py"), *sys.argv[1:]])
    try:
        from slipway.manage import main
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("django", "slipway"):
            raise
        sys.exit(f"manage.py: the virtualenv is not complete: run make clean, then make, in {here}")
    main("project")  # the settings' package; make reads its name here
