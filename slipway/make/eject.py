"""Replace the package's wheel in vendor/ by its source code in slipway/, so that you can change the code."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

from slipway.make import package, pins


def main() -> None:
    wheel, folder = Path(sys.path[0]), Path("slipway")
    if folder.exists():
        sys.exit("make: slipway/ exists already: nothing to eject; if vendor/ has a wheel too, remove one of the two")
    if subprocess.run(["git", "status", "--porcelain"], stdout=subprocess.PIPE, check=False).stdout:
        sys.exit("make: you have changes that are not committed: see git status, then git commit, then make eject")
    with zipfile.ZipFile(wheel) as content:
        names = [name for name in content.namelist() if name.startswith("slipway/")]
        content.extractall(members=names)
    jobs = bool(re.search(r"^slipway-django\[jobs\]", pins.WANTED.read_text(), re.MULTILINE))
    pins.eject(package.required(wheel, jobs))
    wheel.unlink()
    Path("vendor/.gitattributes").unlink(missing_ok=True)
    print(f"make: wrote {len(names)} files to slipway/; from now on you update them; next: make, git add, git commit")


if __name__ == "__main__":
    main()
