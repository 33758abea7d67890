"""Start Celery (`process COMMAND…`) or a Procfile's processes (`process procfile COMMAND…`). If a program or file is
missing, exit and name it. make passes its variables in the environment. Needs Python 3.9."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def main(words: list[str], env: Mapping[str, str]) -> None:
    if words[0] == "procfile":
        lacks = of_procfile(env)
        words = words[1:]
    else:
        lacks = of_celery(env) if words[0].endswith("/bin/python") else app_lacks(env)
    if lacks:
        sys.exit(f"make: {lacks}")
    os.execvp(words[0], words)


def of_procfile(env: Mapping[str, str]) -> str:
    path = Path(env["PROCFILE"])
    if not path.exists():
        return f"no {path} here: write it, with a line 'name: command' for each process, or set PROCFILE"
    text, wanted = path.read_text("utf-8"), f"{env['REQUIREMENTS_DEV'].removesuffix('.txt')}.in"
    return (program_lacks("honcho", wanted, env) or "-m watchfiles" in text and program_lacks("watchfiles", wanted, env)
            or ("-m celery" in text and of_celery(env)) or "")


def of_celery(env: Mapping[str, str]) -> str:
    return program_lacks("celery", f"{env['REQUIREMENTS'].removesuffix('.txt')}.in", env) or app_lacks(env)


def program_lacks(program: str, wanted: str, env: Mapping[str, str]) -> str:
    there = Path(env["VE"], "bin", program).exists()
    return "" if there else f"{program} is not installed: add it to {wanted}, then make requirements"


def app_lacks(env: Mapping[str, str]) -> str:
    folder = Path(env["CELERY_APP"])
    there = not folder.is_dir() or (folder / "celery.py").exists()
    return "" if there else (f"no {folder}/celery.py here: write the Celery app, see \"First steps with Django\" in "
                             "Celery's manual, or set CELERY_APP")


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
