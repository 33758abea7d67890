"""`python -S -m slipway.settings_file COMMAND…`: becomes the command, with the settings of the env file that
SETTINGS_FILE names in its environment. docker-run.sh calls it.

What is in the environment already wins. The command finds no SETTINGS_FILE: it has been read. Standard library only,
and little of it: each command of the image waits for this.
"""

import os
import sys

from .envfile import read


def main(*command: str) -> None:
    """Become the command, or exit 64 with a line for each problem; as for NAME_FILE, none of them tells the path."""
    given = dict(os.environb)
    try:
        with open(given.pop(b"SETTINGS_FILE"), "rb") as file:
            variables, problems = read(file.read(), "SETTINGS_FILE")
        if not problems:
            settings = {name.encode(): value.encode() for name, value in variables.items()}
            os.execve(command[0], command, {**settings, **given, b"SETTINGS_FILE": b""})
    except OSError as error:
        problems = [f"SETTINGS_FILE names a file that cannot be read: {error.strerror}"]
    print("\n".join(f"settings: {problem}" for problem in problems), file=sys.stderr)
    sys.exit(64)


if __name__ == "__main__":
    main(*sys.argv[1:])
