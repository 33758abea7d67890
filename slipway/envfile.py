"""Reads env files: .env, files for `docker run --env-file` and files of the deployer. This module uses only the
standard library of Python 3.9, because the deployer's agent runs it on hosts.

Write one `KEY=value` per line, without `export` and without quotes around the value. `#` starts a comment line. `$NAME`
is not replaced. Docker and our other readers (see tests/host/test_env_files.py) read files in the same way.

`python -m slipway.envfile COMMAND…` adds the variables in the file $SETTINGS_FILE to the environment, then executes
the command. Variables that are already set stay.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Mapping

LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")
CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")  # control characters except the tab, which comments may contain
QUOTES = ("'", '"')
BOM = "\ufeff"
LONGEST = 65535  # bytes per line that Docker reads


def read_file(path: str | os.PathLike[str]) -> tuple[dict[str, str], list[str]]:
    """Return (variables, problems) of a file. Both are empty if the file does not exist."""
    name = os.path.basename(path)
    try:
        with open(path, "rb") as file:
            return read(file.read(), name)
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        return {}, [f"{name} cannot be read: {error.strerror}"]


def read(content: bytes, name: str) -> tuple[dict[str, str], list[str]]:
    try:
        return parse(content.decode("utf-8"), name)
    except UnicodeDecodeError:
        return {}, [f"{name} cannot be read: it is not UTF-8 text"]


def parse(text: str, name: str) -> tuple[dict[str, str], list[str]]:
    variables: dict[str, str] = {}
    problems: list[str] = []
    for number, whole in enumerate(text.split("\n"), 1):
        line = whole.removesuffix("\r")
        line = line.removeprefix(BOM) if number == 1 else line
        match = LINE.fullmatch(line)
        problem = wrong_line(line, match)
        if len(whole.encode()) > LONGEST:
            problem = f"longer than {LONGEST} bytes, which Docker does not read"
        elif match and match[1] in variables:
            problem = problem or f"{match[1]} is set a second time"
        if problem:
            problems.append(f"{name} line {number}: {problem}")
        elif match:
            variables[match[1]] = match[2]
    return variables, problems


def wrong_line(line: str, match: re.Match[str] | None) -> str:
    if not line.strip(" \t"):
        return ""
    if line.startswith("#"):
        return "a control character" if CONTROL.search(line) else ""
    if re.match(r"\s*export\s", line):
        return "drop the word export"
    if not match:
        return "not KEY=value"
    return wrong_value(match[1], match[2])


def wrong_value(key: str, value: str) -> str:
    """Return what is wrong with the value, or "" if it is correct. The text does not contain the value."""
    if value.startswith(QUOTES) and value.endswith(value[0]):
        return f"{key} is in quotes, which would be part of it: drop them"
    if value != value.strip(" \t"):
        return f"{key} has a space at its start or end, which would be part of it: drop it"
    if CONTROL.search(value) or "\t" in value:
        return f"{key} has a control character in it"
    return ""


def changed(text: str, values: Mapping[str, str], unset: Collection[str]) -> str:
    """Return an env file's text with the variables `values` set and the variables `unset` removed. Other lines stay
    unchanged. If `values` has only one of NAME and NAME_FILE, remove the other."""
    variables = parse(text, "")[0]
    unset = {*unset, *(rival(name) for name in values)} - set(values)
    lines = []
    text = text.removeprefix(BOM)
    for line in text.removesuffix("\n").split("\n") if text else ():
        name = line.partition("=")[0]
        if name in values and name in variables:
            lines.append(f"{name}={values[name]}")
        elif name not in unset or name not in variables:
            lines.append(line)
    lines += [f"{name}={value}" for name, value in values.items() if name not in variables]
    return "".join(f"{line}\n" for line in lines)


def rival(name: str) -> str:
    return name.removesuffix("_FILE") if name.endswith("_FILE") else f"{name}_FILE"


def difference(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[dict[str, str], set[str]]:
    """Return (values to set, names to unset) that turn `old` into `new`."""
    return {name: value for name, value in new.items() if old.get(name) != value}, {*old} - {*new}


def main(*command: str) -> None:
    """Execute the command with SETTINGS_FILE's variables. If that file has problems, print them and exit with 64."""
    given = dict(os.environb)
    try:
        with open(given.pop(b"SETTINGS_FILE"), "rb") as file:
            variables, problems = read(file.read(), "SETTINGS_FILE")
        if not problems:
            settings = {name.encode(): value.encode() for name, value in variables.items()}
            os.execve(command[0], command, {**settings, **given, b"SETTINGS_FILE": b""})
    except OSError as error:  # execve raises one, too, if the settings are too long
        problems = [f"SETTINGS_FILE names a file that cannot be read: {error.strerror}"]
    print("\n".join(f"settings: {problem}" for problem in problems), file=sys.stderr)
    sys.exit(64)


if __name__ == "__main__":
    main(*sys.argv[1:])
