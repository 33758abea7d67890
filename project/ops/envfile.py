"""Env files: the one dialect of .env, of `docker run --env-file` and of the deployer. Standard library only.

It is Docker's, less what Docker takes silently and the shell takes otherwise: `KEY=value`, one line each; no quotes,
no `export`, no `$NAME` replaced; `#` starts a comment line.
"""

import re
from pathlib import Path

LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")
QUOTES = ("'", '"')


def read_file(path):
    """The variables of an env file, and what is wrong with it, a text a line. No file, no variables."""
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        return {}, [f"{path.name} cannot be read: {getattr(error, 'strerror', '') or 'it is not UTF-8 text'}"]
    return parse(text, path.name)


def parse(text, name):
    """The same of the text of a file that is called `name`."""
    variables, problems = {}, []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line.strip() or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        problem = wrong_line(line, match) or (match[1] in variables and f"{match[1]} is set a second time")
        if problem:
            problems.append(f"{name} line {number}: {problem}")
        else:
            variables[match[1]] = match[2]
    return variables, problems


def wrong_line(line, match):
    """What is wrong with a line of an env file; empty when nothing is. Never its value."""
    if re.match(r"\s*export\s", line):
        return "drop the word export"
    if not match:
        return "not KEY=value"
    if match[2].startswith(QUOTES) and match[2].endswith(match[2][0]):
        return f"{match[1]} is in quotes, which would be part of it: drop them"
    if match[2] != match[2].strip():
        return f"{match[1]} has a space at its start or end, which would be part of it: drop it"
    if not match[2].isprintable():
        return f"{match[1]} has a control character in it"
    return ""
