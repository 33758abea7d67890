"""Make wheels of all pinned packages: `wheelhouse REQUIREMENTS REQUIREMENTS_DEV >wheels.tar`. It runs in a container.
`make wheelhouse` sends this file's source to it.

The tar contains production's wheels, a folder dev/ with the wheels that only tests and linters need, and a pip.whl to
install them. pip checks the hashes of what it downloads.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path


def main(pins: str, pins_dev: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        house, dev = Path(folder), Path(folder, "dev")
        [pip] = Path("/usr/share/python-wheels").glob("pip-*.whl")
        for file, target in ((pins, house), (pins_dev, dev)):
            done = subprocess.run([sys.executable, pip / "pip", "wheel", "--quiet", "--disable-pip-version-check",
                                   "--wheel-dir", target, "-r", file], stdout=sys.stderr)
            if done.returncode:
                sys.exit(done.returncode)
        for wheel in house.glob("*.whl"):
            (dev / wheel.name).unlink(missing_ok=True)
        shutil.copy(pip, house / "pip.whl")
        with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
            for path in sorted(house.iterdir()):
                tar.add(path, path.name)


if __name__ == "__main__":
    main(*sys.argv[1:])
