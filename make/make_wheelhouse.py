"""Make wheels of all pins, in the builder container: `make_wheelhouse.py REQUIREMENTS REQUIREMENTS_DEV >wheels.tar`.

The tar on stdout holds production's wheels and requirements.txt, and under dev/ what only tests and linters need,
with a requirements.txt of its own. Both have the hashes of these wheels, as some were made here and not downloaded.
pip.whl is the pip that installs them, where there is none.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PIN = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*(?:==|@)")


def main(pins, pins_dev):
    """Write the tar, or end with pip's status, which has said why."""
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


def sort(house, production):
    """Move what production does not name to house/dev, and write a requirements.txt for both."""
    (house / "dev").mkdir()
    for wheel in house.glob("*.whl"):
        if name(wheel) not in production:
            wheel.rename(house / "dev" / wheel.name)
    for folder in (house, house / "dev"):
        lines = [requirement(wheel) for wheel in sorted(folder.glob("*.whl"))]
        (folder / "requirements.txt").write_text("".join(lines))


def pinned(text):
    """The normalised names that a file of pins names."""
    return {normal(match[1]) for match in map(PIN.match, text.splitlines()) if match}


def requirement(wheel):
    """The line that allows just this wheel."""
    return f"{name(wheel)}=={wheel.name.split('-')[1]} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def name(wheel):
    return normal(wheel.name.split("-")[0])


def normal(text):
    return re.sub(r"[-_.]+", "-", text).lower()


if __name__ == "__main__":
    main(*sys.argv[1:])
