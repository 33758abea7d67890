"""List what is left to do by hand after an adoption. No I/O."""

import ast
import contextlib
import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files

from .look import Found, Tree

ROWS = tomllib.loads(files(__package__).joinpath("todo.toml").read_text("utf-8"))
ASKED = re.compile(r"(?:environ\[|\benv(?:\.\w+)?\(|\bconfig\()'(\w+)'[\])]")  # variables read without a default


def todo(theirs: Tree, found: Found, levels: list[str], edited: str) -> Iterator[str]:
    """Yield what is left to do. To find what is done, search `edited`: the text of files that the team edits."""
    for row in (row for level in levels for row in ROWS.get(level, ())):
        for path in theirs if "done" not in row or not re.search(row["done"], edited, re.MULTILINE) else ():
            chosen = path in found.settings_files if row["files"] == "settings" else re.fullmatch(row["files"], path)
            if chosen and (number := line_of(theirs[path], row["has"]) if "has" in row else 1):
                yield f"{path}:{number}: {row['text']}"
    if "image" in levels:
        yield from unset(theirs, found)


def line_of(text: str, pattern: str) -> int:
    return next((number for number, line in enumerate(text.splitlines(), 1) if re.search(pattern, line)), 0)


def unset(tree: Tree, found: Found) -> Iterator[str]:
    """Yield a to-do for each environment variable that the settings read without a default or an `if`."""
    for path in found.settings_files:
        with contextlib.suppress(SyntaxError):  # the file may need another version of Python
            for line in (line for line in ast.parse(tree[path]).body if isinstance(line, ast.Assign)):
                text = ast.unparse(line)
                for name in [] if re.search(r" in [\w.]*env", text) else ASKED.findall(text):
                    yield f"{path}:{line.lineno}: {name} is not set while the image is built: give it a default"
