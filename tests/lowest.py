"""Write var/lowest.txt, which `make lowest` installs: of each package that pyproject.toml names the oldest version that
it allows, and of all else that the tests need the newest."""

import os
import subprocess
import sys
from pathlib import Path

from slipway.make import uv, virtualenv

EXTRAS = ["accounts", "asgi", "csp", "deploy", "jobs", "psycopg2", "s3"]
LOWEST, ALL = "var/lowest.in", "var/lowest.txt"


def compiled(output: str, *words: str) -> None:
    command = [virtualenv.uv_path(os.environ), "pip", "compile", "--quiet", "--only-binary", ":all:", "-o", output]
    command += ["--python", sys.executable]
    subprocess.run([*command, *words], env={**uv.ANY_INDEX, **uv.settings(os.environ)}, check=True)


if __name__ == "__main__":
    for path in (LOWEST, ALL):  # uv keeps the versions of a file that is there
        Path(path).unlink(missing_ok=True)
    extras = [f"--extra={name}" for name in EXTRAS]
    compiled(LOWEST, "--resolution=lowest-direct", *extras, "pyproject.toml")
    compiled(
        ALL, "--generate-hashes", "-c", LOWEST, *extras, "pyproject.toml", "requirements.in", "requirements/dev.in"
    )
