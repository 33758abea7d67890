"""Pin packages: `requirements lock [--upgrade] FILE…`, for make requirements and make upgrade. Needs Python 3.9.

With uv.lock, uv pins there what pyproject.toml names, and `requirements export` makes REQUIREMENTS and REQUIREMENTS_DEV
of it. Without uv.lock, these and the FILEs are the team's own: `lock` runs the command that each has in its header.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from slipway.make import uv, virtualenv
from slipway.make.python import lacks
from slipway.make.waiting import still

Env = Mapping[str, str]
LOCK, PROJECT, MADE_FROM = Path("uv.lock"), Path("pyproject.toml"), Path("var/pins/made-from")
COMMAND = re.compile(r"^#\s+((?:uv pip compile|pip-compile) .*)$", re.MULTILINE)  # as these programs write it
CHANGES = re.compile(r"^(?:Added|Removed|Updated) .*$", re.MULTILINE)
# uv would write this machine's indexes into uv.lock.
OF_MACHINE = {"UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"}


def main(args: list[str], env: Env) -> None:
    action, *words = args
    options = [word for word in words if word == "--upgrade"]
    with virtualenv.lock(Path(env["VE"])):
        is_new = PROJECT.exists() and not os.path.exists(env["REQUIREMENTS"])
        if action == "export":
            if not is_exported(env):  # by the rule of the other file
                export(env)
        elif LOCK.exists() or is_new:
            export(env, options)
        else:
            files = [env["REQUIREMENTS"], env["REQUIREMENTS_DEV"], *(word for word in words if word not in options)]
            run_commands(files, options, env)


# ---- with uv.lock ----


def export(env: Env, options: Sequence[str] = ()) -> None:
    """Write the pins of production and of development as uv.lock has them, and what they are made from. uv changes
    uv.lock first, if pyproject.toml does not agree with it, or for the option --upgrade."""
    if lack := lacks(env["PYTHON"], env["PYTHON_MIN"]):
        sys.exit(f"make: {lack}")
    for line in CHANGES.findall(run_uv(env, "lock", *options).stderr):
        print(f"make: {line}", file=sys.stderr)
    texts = {
        env["REQUIREMENTS"]: exported(env, *shlex.split(env["EXPORT"])),
        env["REQUIREMENTS_DEV"]: exported(env, *shlex.split(env["EXPORT_DEV"])),
    }
    if unhashed := [pin for text in texts.values() for pin in without_hash(text)]:
        sys.exit(
            f"make: {', '.join(unhashed)} in uv.lock is a folder or a git repository, which has no hash: put its wheel "
            "into vendor/, and uv add that"
        )
    for path, text in texts.items():
        if not os.path.exists(path) or Path(path).read_text("utf-8") != text:  # else the virtualenv need not change
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(text, "utf-8")
    MADE_FROM.parent.mkdir(parents=True, exist_ok=True)
    MADE_FROM.write_bytes(sources())


def is_exported(env: Env) -> bool:
    files = [MADE_FROM, Path(env["REQUIREMENTS"]), Path(env["REQUIREMENTS_DEV"])]
    return all(path.exists() for path in files) and MADE_FROM.read_bytes() == sources()


def sources() -> bytes:
    return PROJECT.read_bytes() + LOCK.read_bytes()


def exported(env: Env, *options: str) -> str:
    """Return the pins that uv.lock has for these options of `uv export`."""
    words = "--frozen", "--format=requirements.txt", "--no-emit-project", "--no-header"
    return run_uv(env, "export", *words, *options).stdout


def without_hash(text: str) -> list[str]:
    """Return the first line of each pin that has no hash."""
    pins = [pin for pin in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if pin.strip() and not pin.startswith("#")]
    return [pin.splitlines()[0] for pin in pins if "--hash=" not in pin]


def run_uv(env: Env, *words: str) -> subprocess.CompletedProcess[str]:
    """Run uv in the project, without the indexes of this machine. Exit with its output if it fails."""
    own = {name: value for name, value in uv.settings(env, indexes=False).items() if name not in OF_MACHINE}
    own.update(UV_PYTHON=shutil.which(env["PYTHON"]) or sys.executable, UV_PYTHON_DOWNLOADS="never")
    command = [uv_program(env), *words]
    try:
        with still(f"at uv {words[0]}"):
            done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    except OSError as error:
        sys.exit(f"make: {command[0]}: {error.strerror}")
    if done.returncode:
        sys.exit(f"{done.stderr}make: uv {words[0]} failed, see above. {hint(done.stderr)}".rstrip())
    return done


def hint(output: str) -> str:
    if re.search(uv.NO_ANSWER, output, re.IGNORECASE):
        return "If you reach packages by an index of your own, name it in pyproject.toml: docs/make.md"
    return ""


def uv_program(env: Env) -> str:
    return virtualenv.uv_path(env) or sys.exit("make: no uv here: install it, or name its pins by REQUIREMENTS_UV")


# ---- without uv.lock ----


def commands(files: Sequence[str]) -> list[str]:
    """Return the command in the header of each file that exists and has one."""
    headers = [Path(path).read_text("utf-8", errors="replace")[:2000] for path in files if os.path.exists(path)]
    return [match[1] for match in map(COMMAND.search, headers) if match]


def run_commands(files: Sequence[str], options: Sequence[str], env: Env) -> None:
    """Run the command in the header of each file that has one."""
    texts = commands(files)
    if not texts:
        sys.exit(
            f"make: {env['REQUIREMENTS']} has no command in its header, as uv pip compile and pip-compile write it: "
            'change it as you did before, or move to uv.lock: see "Pins" in docs/make.md'
        )
    own = uv.settings(env, indexes=False)  # so that the command writes what it writes when it is typed
    for text in texts:
        program, *words = shlex.split(text)
        if program == "uv":
            program = uv_program(env)
        elif not shutil.which(program):
            program = os.path.join(env["VE"], "bin", program)
        try:
            with still(f"at {text}"):
                done = subprocess.run([program, *words, *options], env=own, stdout=subprocess.DEVNULL, check=False)
        except OSError as error:
            sys.exit(f"make: {program}: {error.strerror}: install it to run {text}")
        if done.returncode:
            sys.exit(f"make: failed, see above: {text}")


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
