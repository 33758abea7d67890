"""make old-python: test what hosts run, and what make runs before there is a virtualenv, by the Python in OLD_PYTHON.

pyproject.toml names these files. All are imported, and the tests of TESTS run by that Python, without conftest.py,
which newer code needs. Then it is the host's in tests of the connection.
"""

import configparser
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from slipway.make import uv, virtualenv

PACKAGES = ["pytest==8.4.2", "hypothesis==6.141.1"]  # the last ones for Python 3.9
TESTS = [
    "lasting",
    "deployer/test_http.py",
    "deployer/test_images.py",
    "deployer/test_noted.py",
    "deployer/test_publish.py",
    "deployer/test_pulse.py",
    "deployer/test_rules.py",
    "deployer/test_traffic.py",
    "host/test_backup_files.py",
    "host/test_backup_repository.py",
    "host/test_env_files.py",
]
IMPORT = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
# A command, what asks the deployer, and what the virtualenv's Python runs.
NEWER = {"manage", "slipway.make.completion", "slipway.make.no_pip", "slipway.make.site"}
FOLDER = Path("var/old-python")


def modules() -> list[str]:
    """Return the names of the modules that pyproject.toml has as Python 3.9's."""
    versions = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["ruff"]["per-file-target-version"]
    patterns = [pattern.replace("**", "**/*.py") for pattern, version in versions.items() if version == "py39"]
    names = {".".join(path.with_suffix("").parts) for pattern in patterns for path in Path().glob(pattern)}
    return sorted(name.removesuffix(".__init__") for name in names - NEWER)


def markers() -> str:
    """Return the markers of tests/pytest.ini, which is not used here."""
    ini = configparser.ConfigParser()
    ini.read("tests/pytest.ini", "utf-8")
    return ini["pytest"]["markers"].strip()


def main(name: str) -> None:
    python = shutil.which(name)
    if not python:
        sys.exit(f"make: there is no {name} here: name one, such as make old-python OLD_PYTHON=/opt/bin/python3.9")
    if not (FOLDER / "site").is_dir():
        command = [virtualenv.uv_path(os.environ), "pip", "install", "--quiet", "--python-version=3.9"]
        env = {**uv.ANY_INDEX, **uv.settings(os.environ)}
        subprocess.run([*command, f"--target={FOLDER}/site", *PACKAGES], env=env, check=True)
    env = {**os.environ, "PYTHONPATH": f"{FOLDER}/site:tests:.", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([python, "-c", IMPORT, *modules()], env=env, check=True)
    words = ["-m", "pytest", "-q", "-c", "/dev/null", "--rootdir=.", "--noconftest", "-p", "no:cacheprovider"]
    words += ["--strict-markers", "-o", f"markers={markers()}"]
    subprocess.run([python, *words, *(f"tests/{name}" for name in TESTS)], env=env, check=True)
    (FOLDER / "bin/python3").unlink(missing_ok=True)
    (FOLDER / "bin").mkdir(exist_ok=True)
    (FOLDER / "bin/python3").symlink_to(python)
    env = {**os.environ, "PATH": f"{FOLDER.absolute()}/bin:{os.environ['PATH']}"}
    subprocess.run([sys.executable, "-m", "pytest", "-q", "tests/deployer/test_connection.py"], env=env, check=True)


if __name__ == "__main__":
    try:
        main(os.environ.get("OLD_PYTHON") or "python3.9")
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
