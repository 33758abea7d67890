"""Make wheels of all pinned packages: `wheelhouse REQUIREMENTS REQUIREMENTS_DEV >wheels.tar`. It runs in a container.
`make wheelhouse` sends this file's source to it.

The tar contains production's wheels, a folder dev/ with the wheels of tests and linters, and a pip.whl to install them.
Each folder has a requirements.txt with its wheels' hashes. A wheel built here has another hash than its pin.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PIN = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*(?:==|@)|\./(?:.*/)?(\w+)-\S*\.whl")


def main(pins: str, pins_dev: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        house = Path(folder)
        [pip] = Path("/usr/share/python-wheels").glob("pip-*.whl")
        done = subprocess.run([sys.executable, pip / "pip", "wheel", "--quiet", "--disable-pip-version-check",
                               "--no-cache-dir", "--wheel-dir", house, "-r", pins, "-r", pins_dev], stdout=sys.stderr)
        if done.returncode:
            sys.exit(done.returncode)
        sort(house, pinned(Path(pins).read_text()))
        shutil.copy(pip, house / "pip.whl")
        with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
            for path in sorted(house.iterdir()):
                tar.add(path, path.name)


def sort(house: Path, production: set[str]) -> None:
    """Move the wheels that are not in `production` to house/dev; write requirements.txt in both folders."""
    (house / "dev").mkdir()
    for wheel in house.glob("*.whl"):
        if name(wheel) not in production:
            wheel.rename(house / "dev" / wheel.name)
    for folder in (house, house / "dev"):
        lines = [requirement(wheel) for wheel in sorted(folder.glob("*.whl"))]
        (folder / "requirements.txt").write_text("".join(lines))


def pinned(text: str) -> set[str]:
    return {normal(match[1] or match[2]) for match in map(PIN.match, text.splitlines()) if match}


def requirement(wheel: Path) -> str:
    return f"{name(wheel)}=={wheel.name.split('-')[1]} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def name(wheel: Path) -> str:
    return normal(wheel.name.split("-")[0])


def normal(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


if __name__ == "__main__":
    main(*sys.argv[1:])
