"""Write a file of the package, such as `packaged requirements/uv.txt var/pins/uv.txt`. Needs Python 3.9."""

import os
import pkgutil
import sys
from pathlib import Path


def main(name: str, path: str) -> None:
    """Replace the file at `path` at once, as another make may be reading it."""
    try:
        text = pkgutil.get_data("slipway", name) or b""
        new = Path(f"{path}.{os.getpid()}")
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(text)
        new.replace(path)
    except OSError as error:
        sys.exit(f"make: {path} cannot be taken from the package: {error.strerror or error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
